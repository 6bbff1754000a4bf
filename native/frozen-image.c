#include "frozen-image.h"
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A section of its own without content, so that the linker gives it a program header which build.mjs can fill. */
#define TEXT_OF(macro) TEXT(macro)
#define TEXT(macro) #macro
__asm__(".pushsection .image,\"aw\",%nobits\n .balign 65536\n .globl image\nimage: .skip " TEXT_OF(IMAGE_SIZE) "\n .popsection");
_Static_assert(sizeof(struct image) <= IMAGE_SIZE, "fits into the section above");

/* Blocks come in size classes: multiples of 8 bytes up to 1 kB, then four per power of two. A block that a run frees waits for the
 * next one of its class and is never given back to the kernel: a plugin lives for milliseconds, and a daemon needs again what it has
 * needed once. A frozen one is not used again: it may be on a page that the run writes to in no other place. */
enum { HEADER = sizeof(struct header), STEP = 8, SMALL = 1024 / STEP, REGION = 1 << 20 };

static inline unsigned class_of(size_t size) {               /* of a block with its header */
  if (size <= 1024) return (size + STEP - 1) / STEP - 1;
  unsigned top = 63 - __builtin_clzl(size - 1);              /* 2^top < size <= 2^(top+1), top >= 10 */
  return SMALL + 4 * (top - 10) + ((size - 1) >> (top - 2) & 3);
}

static inline size_t class_size(unsigned c) {
  if (c < SMALL) return (c + 1) * STEP;
  unsigned top = 10 + (c - SMALL) / 4;
  return ((size_t)1 << top) + ((size_t)1 << (top - 2)) * ((c - SMALL) % 4 + 1);
}

static inline struct header *header_of(const void *block) { return (struct header *)block - 1; }

static bool is_loading;
static char *next, *end;  /* the free part of the current region; none while the program is loaded */
static void *unused[256]; /* blocks that the run has freed, by size class */

/* A region for at least `size` bytes becomes the current one. Returns false when the kernel has no memory. */
static bool enter_new_region(size_t size) {
  size_t whole = size > REGION ? size : REGION;
  char *region = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (region == MAP_FAILED) return false;
  next = region;
  end = region + whole;
  return true;
}

/* A new block in memory that was not used before. NULL: there is none. */
static __attribute__((noinline)) void *block_from_region(unsigned c) {
  size_t size = class_size(c);
  struct header *header;
  if (is_loading) {
    header = layout_place(size);
  } else {
    if (size > (size_t)(end - next) && !enter_new_region(size)) return NULL;
    header = (struct header *)next;
    next += size;
  }
  *header = (struct header){ .class = c };
  return header + 1;
}

static inline void *block_new(size_t size) {
  unsigned c = class_of(size + HEADER);
  void *block = unused[c];
  if (!block) return block_from_region(c);
  unused[c] = *(void **)block;
  *header_of(block) = (struct header){ .class = c };
  return block;
}

static inline bool is_frozen(const void *block) { return (char *)block >= image.blocks && (char *)block < image.frozen_end; }

/* The engine's functions for memory, in place of its own: all its allocations go through these four (build.mjs weakens its symbols).
 * Its own would cut small blocks out of arenas, in which blocks that stay lie between others that were freed. */

/* What an allocation of no bytes gives. */
static struct { struct header header; char data[STEP]; } nothing;

void *js_malloc_rt(JSRuntime *rt, size_t size) {
  (void)rt;
  return size ? block_new(size) : nothing.data;
}

void js_free_rt(JSRuntime *rt, void *block) {
  (void)rt;
  if (!block || block == nothing.data) return;
  if (is_loading) {
    header_of(block)->is_free = 1;
  } else if (!is_frozen(block)) {
    unsigned c = header_of(block)->class;
    *(void **)block = unused[c];
    unused[c] = block;
  }
}

size_t js_malloc_usable_size_rt(JSRuntime *rt, const void *block) {
  (void)rt;
  return block && block != nothing.data ? class_size(header_of(block)->class) - HEADER : 0;
}

void *js_realloc_rt(JSRuntime *rt, void *block, size_t size) {
  if (!block) return js_malloc_rt(rt, size);
  if (!size) {
    js_free_rt(rt, block);
    return NULL;
  }
  size_t old_size = js_malloc_usable_size_rt(rt, block);
  if (size <= old_size) return block;
  void *bigger = block_new(size);
  if (!bigger) return NULL;
  memcpy(bigger, block, old_size);
  header_of(bigger)->kind = header_of(block)->kind;
  header_of(bigger)->references = header_of(block)->references;
  js_free_rt(rt, block);
  return bigger;
}

/* The functions that a runtime is made with. The engine takes the runtime itself from there, once. More would be allocations that go
 * past the functions above: an engine that has other ones. */
static void *runtime_new(JSMallocState *state, size_t size) {
  (void)state;
  static bool is_made;
  if (is_made) {
    static const char problem[] =
      "the engine allocates memory by other functions than js_malloc_rt, js_free_rt, js_realloc_rt and js_malloc_usable_size_rt. "
      "To fix: go back to the earlier release of @suchipi/quickjs, or replace in native/frozen-image.c what this one uses\n";
    if (write(2, problem, sizeof problem - 1) < 0) return NULL;
    _exit(1);
  }
  is_made = true;
  return block_new(size);
}

static void runtime_free(JSMallocState *state, void *block) {
  (void)state;
  js_free_rt(NULL, block);
}

static void *runtime_resize(JSMallocState *state, void *block, size_t size) {
  return block ? js_realloc_rt(NULL, block, size) : runtime_new(state, size);
}

static size_t runtime_size(const void *block) { return js_malloc_usable_size_rt(NULL, block); }

JSRuntime *image_runtime(void) {
  static const JSMallocFunctions memory = { runtime_new, runtime_free, runtime_resize, runtime_size };
  return JS_NewRuntime2(&memory, NULL);
}

int image_load(int (*load)(void)) {
  is_loading = true;
  int failed = layout_first_load(load);
  if (!failed) failed = layout_second_load(load);
  return failed;
}

static char *page_of(char *p) { return (char *)((uintptr_t)p & ~(uintptr_t)(IMAGE_PAGE - 1)); }

size_t image_freeze(void) {
  is_loading = false;
  for (enum part part = READ; part < PARTS; part++) image.starts[part] = layout_start(part);
  image.frozen_end = page_of(layout_end() + IMAGE_PAGE - 1);
  return image.frozen_end - (char *)&image;
}

void image_start(enum part written) {
  next = image.frozen_end;
  end = image.blocks + sizeof image.blocks;
  char *from = page_of(image.starts[written]), *to = next + (written == WRITTEN_ALWAYS ? 32 << 10 : 128 << 10);
  madvise(from, to - from, 23 /* MADV_POPULATE_WRITE: one call instead of a page fault each */);
}
