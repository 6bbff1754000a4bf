#define _GNU_SOURCE
#include "image-layout.h"
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "frozen-image.h"

enum { MOST_ALLOCATIONS = 1 << 20, ELSEWHERE_SIZE = 256 << 20 };

/* What the first load has shown, in memory that the child process shares with its parent. */
static struct plan {
  bool is_complete;
  uint32_t count;
  struct { uint32_t size; bool is_kept; } allocations[MOST_ALLOCATIONS];
} *plan;

static uint32_t made;                   /* allocations of this load so far */
static char *elsewhere;                 /* memory outside of the image */
static char *next_elsewhere, *next;     /* the first free bytes there, and of the image's cold part */

/* The other parts lie behind the cold one. */
static char *parts_begin;
static size_t parts_size, part_offsets[PARTS];
static uint32_t order[MOST_ALLOCATIONS + PARTS]; /* the file that says what belongs to them */
static size_t order_length;
static struct { bool is_in_part; uint32_t offset; } places[MOST_ALLOCATIONS];

/* Ends the process after it said what is wrong, and what to do. */
#define STOP(...) (dprintf(2, "the program cannot be frozen: " __VA_ARGS__), _exit(1))

static void stop_at_difference(void) {
  STOP("allocation %u is not the same in two loads. To fix: let the program's top level depend on its code alone, and on nothing of the "
       "machine or process\n", made);
}

static void stop_at_end_of_image(void) { STOP("it does not fit into the image. To fix: raise IMAGE_SIZE in native/frozen-image.h\n"); }

static void *map(void *wanted, size_t size, int sharing) {
  void *memory = mmap(wanted, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) STOP("%zu bytes of address space are not to be had. To fix: raise the build's limit (ulimit -v)\n", size);
  return memory;
}

void layout_read(const char *file) {
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read(fd, order, sizeof order);
  if (size < 0) STOP("%s, which says where its blocks lie, cannot be read. To fix: build again\n", file);
  order_length = size / sizeof *order;
}

/* Begins a load. The memory elsewhere is at the same address each time if it can be: some of the engine's tables go by address. */
static void begin(void) {
  if (!elsewhere) elsewhere = map((void *)0x40000000, ELSEWHERE_SIZE, MAP_PRIVATE);
  next_elsewhere = elsewhere;
  next = image.blocks;
  made = 0;
}

/* Notes which blocks of the first load are still in use. They lie one behind the other in the order of their allocation. */
static void note_kept(void) {
  char *at = elsewhere;
  for (uint32_t n = 0; n < made; at += plan->allocations[n++].size) plan->allocations[n].is_kept = !((struct header *)at)->is_free;
  plan->count = made;
  plan->is_complete = true;
}

int layout_first_load(int (*load)(void)) {
  plan = map(NULL, sizeof *plan, MAP_SHARED);
  begin();
  pid_t child = fork();
  if (child == 0) {
    int failed = load();
    if (!failed) note_kept();
    _exit(failed);
  }
  int status;
  if (child < 0 || waitpid(child, &status, 0) != child) STOP("no second process could be started. To fix: raise the build's limit (ulimit -u)\n");
  if (!WIFEXITED(status) || (!WEXITSTATUS(status) && !plan->is_complete))
    STOP("the process that loads it ended early, with wait status %#x. To fix: load it in a debugger, with the bytecode on standard input\n", status);
  return WEXITSTATUS(status);
}

static size_t page_up(size_t size) { return (size + IMAGE_PAGE - 1) & ~(size_t)(IMAGE_PAGE - 1); }

/* Gives each block that the file lists its place in its part. */
static void read_order(void) {
  size_t at = 1;
  for (enum part part = READ; part < PARTS; part++) {
    if (part <= WRITTEN) parts_size = page_up(parts_size); /* the others are written to together with those behind them */
    part_offsets[part] = parts_size;
    size_t end = at < order_length ? at + 1 + order[at] : at;
    for (at++; at < end && at < order_length; at++) {
      uint32_t n = order[at];
      if (n >= plan->count || !plan->allocations[n].is_kept || places[n].is_in_part) continue;
      places[n].is_in_part = true;
      places[n].offset = parts_size;
      parts_size += plan->allocations[n].size;
    }
  }
}

static void arrange(void) {
  if (order_length && order[0] != plan->count)
    dprintf(2, "the order of blocks is not used: it is that of a program with %u allocations, this one makes %u\n", order[0], plan->count);
  else
    read_order();
  size_t cold = 0;
  for (uint32_t n = 0; n < plan->count; n++)
    if (plan->allocations[n].is_kept && !places[n].is_in_part) cold += plan->allocations[n].size;
  parts_begin = (char *)&image + page_up(image.blocks - (char *)&image + cold);
  if (cold + parts_size + IMAGE_PAGE > sizeof image.blocks) stop_at_end_of_image();
}

int layout_second_load(int (*load)(void)) {
  begin();
  arrange();
  int failed = load();
  if (!failed && made != plan->count) stop_at_difference();
  return failed;
}

#ifdef PROFILE
enum { PAGE = 4096 };
static uint32_t number_of_page[IMAGE_SIZE / PAGE];

uint32_t layout_count(void) { return plan->count; }

uint32_t layout_number_at(const char *page, size_t *size) {
  uint32_t n = number_of_page[(page - (char *)&image) / PAGE];
  *size = plan->allocations[n].size;
  return n;
}

static struct header *cold_place(uint32_t n, size_t size) {
  char *place = (char *)(((uintptr_t)next + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
  if (place + size > image.blocks + sizeof image.blocks) stop_at_end_of_image();
  number_of_page[(place - (char *)&image) / PAGE] = n;
  next = place + size;
  return (struct header *)place;
}
#else
static struct header *cold_place(uint32_t n, size_t size) {
  (void)n;
  next += size;
  return (struct header *)(next - size);
}
#endif

struct header *layout_place(size_t size) {
  bool is_first = !plan->is_complete;
  if (made == MOST_ALLOCATIONS) STOP("it allocates more than %u blocks. To fix: raise MOST_ALLOCATIONS in native/image-layout.c\n", made);
  if (is_first) plan->allocations[made].size = size;
  else if (made == plan->count || plan->allocations[made].size != size) stop_at_difference();
  uint32_t n = made++;
  if (plan->allocations[n].is_kept) return places[n].is_in_part ? (struct header *)(parts_begin + places[n].offset) : cold_place(n, size);
  if (size > (size_t)(elsewhere + ELSEWHERE_SIZE - next_elsewhere))
    STOP("it allocates more than %d bytes. To fix: raise ELSEWHERE_SIZE in native/image-layout.c\n", ELSEWHERE_SIZE);
  next_elsewhere += size;
  return (struct header *)(next_elsewhere - size);
}

char *layout_start(enum part part) { return parts_size ? parts_begin + part_offsets[part] : next; }

char *layout_end(void) { return parts_size ? parts_begin + parts_size : next; }
