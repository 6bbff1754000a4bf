#define _GNU_SOURCE
#include "image-layout.h"
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "frozen-image.h"

enum { MOST_ALLOCATIONS = 1 << 20, ELSEWHERE_SIZE = 256 << 20 };

/* The allocations of the first load, in memory that the child process shares with its parent. */
static struct plan {
  bool is_complete;
  uint32_t count;
  struct { uint32_t size; bool is_kept; } allocations[MOST_ALLOCATIONS];
} *plan;

static uint32_t made;                            /* allocations of this load so far */
static char *elsewhere, *next_elsewhere, *next;  /* memory outside of the image, and the first free bytes there and in the image */

/* Ends the process after it said what is wrong, and what to do. */
#define STOP(...) (dprintf(2, "the program cannot be frozen: " __VA_ARGS__), _exit(1))

static void *map(void *wanted, size_t size, int sharing) {
  void *memory = mmap(wanted, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) STOP("%zu bytes of address space are not to be had. To fix: raise the build's limit (ulimit -v)\n", size);
  return memory;
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

static void stop_at_difference(void) {
  STOP("allocation %u is not the same in two loads. To fix: let the program's top level depend on its code alone, and on nothing of the machine or process\n", made);
}

int layout_second_load(int (*load)(void)) {
  begin();
  int failed = load();
  if (!failed && made != plan->count) stop_at_difference();
  return failed;
}

struct header *layout_place(size_t size) {
  bool is_first = !plan->is_complete;
  if (made == MOST_ALLOCATIONS) STOP("it allocates more than %u blocks. To fix: raise MOST_ALLOCATIONS in native/image-layout.c\n", made);
  if (is_first) plan->allocations[made].size = size;
  else if (made == plan->count || plan->allocations[made].size != size) stop_at_difference();
  if (plan->allocations[made++].is_kept) {
    if (size > (size_t)(image.blocks + sizeof image.blocks - next)) STOP("it does not fit into the image. To fix: raise the size of struct image and of its section (native/frozen-image.c)\n");
    next += size;
    return (struct header *)(next - size);
  }
  if (size > (size_t)(elsewhere + ELSEWHERE_SIZE - next_elsewhere)) STOP("it allocates more than %d bytes. To fix: raise ELSEWHERE_SIZE in native/image-layout.c\n", ELSEWHERE_SIZE);
  next_elsewhere += size;
  return (struct header *)(next_elsewhere - size);
}

char *layout_end(void) { return next; }
