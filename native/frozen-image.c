#include "frozen-image.h"
#include <string.h>
#include <sys/mman.h>

/* A section of its own without content, so that the linker gives it a program header which build.mjs can fill. */
__asm__(".pushsection .image,\"aw\",%nobits\n .balign 65536\n .globl image\nimage: .skip 16777216\n .popsection");
_Static_assert(sizeof(struct image) <= 16777216, "fits into the section above");

/* Blocks come in size classes: multiples of 8 bytes up to 1 kB, then four per power of two. A freed block waits for the next
 * one of its class and is never given back to the kernel: a plugin lives for milliseconds, and a daemon needs again what it has needed once.
 * In front of each stands its class. */
enum { HEADER = 8, STEP = 8, SMALL = 1024 / STEP, REGION = 1 << 20 };

static unsigned class_of(size_t size) {                      /* of a block with its header */
  if (size <= 1024) return (size + STEP - 1) / STEP - 1;
  unsigned top = 63 - __builtin_clzl(size - 1);              /* 2^top < size <= 2^(top+1), top >= 10 */
  return SMALL + 4 * (top - 10) + ((size - 1) >> (top - 2) & 3);
}

static size_t class_size(unsigned c) {
  if (c < SMALL) return (c + 1) * STEP;
  unsigned top = 10 + (c - SMALL) / 4;
  return ((size_t)1 << top) + ((size_t)1 << (top - 2)) * ((c - SMALL) % 4 + 1);
}

static size_t *class_field(const void *block) { return (size_t *)((char *)block - HEADER); }

static size_t block_size(const void *block) { return block ? class_size(*class_field(block)) - HEADER : 0; }

/* Tables that outgrew their block leave holes in the image: the largest become the current region for a while. Not so in a run, where what is
 * left of a hole would be lost: one that stays would grow. */
enum { HOLE = 8192 };

static void enter_hole(char *from, char *to) {
  image.outer_next = image.next;
  image.outer_end = image.end;
  image.next = from;
  image.end = to;
}

static void leave_hole(void) {
  image.next = image.outer_next;
  image.end = image.outer_end;
  image.outer_end = NULL;
}

static unsigned long blocks_made; /* while the image is made, for fill_holes */

static void *block_new(JSMallocState *state, size_t size) {
  (void)state;
  blocks_made++;
  unsigned c = class_of(size + HEADER);
  void *block = image.unused[c];
  if (block) {
    image.unused[c] = *(void **)block;
    return block;
  }
  size_t whole = class_size(c);
  if (whole > (size_t)(image.end - image.next) && image.outer_end) leave_hole();
  if (whole > (size_t)(image.end - image.next)) {
    if (!image.frozen_end) return NULL; /* the image is full while it is made: the build stops */
    size_t want = whole > REGION ? whole : REGION;
    char *more = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (more == MAP_FAILED) return NULL;
    image.next = more;
    image.end = more + want;
  }
  block = image.next + HEADER;
  image.next += whole;
  *class_field(block) = c;
  return block;
}

static void block_free(JSMallocState *state, void *block) {
  (void)state;
  if (!block) return;
  unsigned c = *class_field(block);
  if (class_size(c) >= HOLE && !image.outer_end && !image.frozen_end) {
    enter_hole((char *)class_field(block), (char *)class_field(block) + class_size(c));
    return;
  }
  *(void **)block = image.unused[c];
  image.unused[c] = block;
}

static void *block_resize(JSMallocState *state, void *block, size_t size) {
  if (!block) return size ? block_new(state, size) : NULL;
  if (!size) {
    block_free(state, block);
    return NULL;
  }
  if (size <= block_size(block)) return block;
  void *bigger = block_new(state, size);
  if (!bigger) return NULL;
  memcpy(bigger, block, block_size(block));
  block_free(state, block);
  return bigger;
}

JSRuntime *image_runtime(void) {
  static const JSMallocFunctions memory = { block_new, block_free, block_resize, block_size };
  image.next = image.blocks;
  image.end = image.blocks + sizeof image.blocks;
  return JS_NewRuntime2(&memory, NULL);
}

/* The engine cuts small blocks out of arenas of its own. Frozen with holes in them, a run would fill those first, each in
 * another cold page that has to be copied: 60 of 390 page faults of an ADD. So they are filled here, until the engine asks for
 * another arena. */
static void fill_holes(void) {
  enum { LARGEST = 512 };
  for (size_t size = 1; size <= LARGEST; size += 8) {
    unsigned long before;
    void *block;
    do {
      before = blocks_made;
      block = js_malloc_rt(image.runtime, size);
    } while (blocks_made == before);
    js_free_rt(image.runtime, block); /* the first block of a new arena, which goes with it */
  }
}

size_t image_freeze(void) {
#ifdef __aarch64__
  size_t page = 65536; /* the largest that kernels are built with */
#else
  size_t page = 4096;
#endif
  fill_holes();
  if (image.outer_end) leave_hole();
  memset(image.unused, 0, sizeof image.unused); /* a run takes fresh pages instead of copying frozen ones */
  image.frozen_end = (char *)(((size_t)image.next + page - 1) & ~(page - 1));
  image.next = image.frozen_end;
  return image.frozen_end - (char *)&image;
}

void image_prefault(void) {
  madvise(image.frozen_end, 128 << 10, 23 /* MADV_POPULATE_WRITE: one call instead of 32 page faults */);
}
