/* Where the blocks that are allocated while the program is loaded lie in memory.
 *
 * The program is loaded twice. Both loads make the same allocations in the same order, so that each has a number. The first load, in a
 * child process, shows which blocks are still in use at its end: a third of the allocations and of the bytes. In the second,
 * these go side by side into the image, and all others elsewhere.
 *
 * Blocks that a run writes to lie together, apart from those that it only reads and from the many that it does not touch: a page of
 * the file is copied when a run writes to it. Which they are says a file that the build has made with the profiling host
 * (dev/image-layout.mjs): 32-bit words, first the number of allocations, then for each part but COLD, in this order, how many
 * allocations belong to it and their numbers, in the order in which they shall lie. Without the file all blocks are cold, which is
 * slower and nothing else. */
#ifndef IMAGE_LAYOUT_H
#define IMAGE_LAYOUT_H
#include <stddef.h>
#include <stdint.h>

/* What stands in front of each block: the engine expects eight bytes there, of which it leaves the first three to its allocator. */
struct header {
  uint16_t class;      /* of sizes (frozen-image.c) */
  uint8_t is_free;     /* of a block of the load: was freed again */
  uint8_t kind;        /* the engine's: what the block is, and a mark of its collector */
  int32_t references;  /* the engine's: how many values refer to the block */
};

enum part { COLD, READ, WRITTEN, WRITTEN_BY_ADD, WRITTEN_OFTEN, WRITTEN_ALWAYS, PARTS };

/* Reads the file that says which blocks belong to which part. Ends the process when there is none. */
void layout_read(const char *file);

/* Makes the first load, and then, when that returned 0, the second. Return what `load` returned: 0, or an exit status. */
int layout_first_load(int (*load)(void));
int layout_second_load(int (*load)(void));

/* The place for the next block of a load, of `size` bytes with its header. Does not return when there is none, or when the second load
 * differs from the first: says so and ends the process. */
struct header *layout_place(size_t size);

/* Where a part begins, once the second load is done. */
char *layout_start(enum part part);

/* The end of the image's blocks, once the second load is done. */
char *layout_end(void);

#ifdef PROFILE
/* How many allocations a load makes. */
uint32_t layout_count(void);

/* The number of the block that begins on a page of the image, and its size. */
uint32_t layout_number_at(const char *page, size_t *size);
#endif

#endif
