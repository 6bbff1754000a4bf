/* The image: one region at a fixed address that holds everything the engine allocates.
 *
 * The build starts the executable once without an image, lets it load the program, and appends the region's used part
 * to the executable (build.mjs, stage "freeze"). From then on the kernel maps the started program with exec itself:
 * no engine to set up, no bytecode to read, and pages nobody touches are never loaded.
 *
 * Rejected: reading bytecode at every start. It costs 6 us per kB, so that each kilobyte of source was weighed. */
#ifndef IMAGE_H
#define IMAGE_H
#include <stdbool.h>
#include <stddef.h>
#include "image-layout.h"
#include "quickjs.h"

#ifdef PROFILE /* each block has pages of its own */
#define IMAGE_SIZE 0x20000000
#else
#define IMAGE_SIZE 0x1000000
#endif

/* The largest size of a page that kernels for this architecture have. */
#ifdef __aarch64__
#define IMAGE_PAGE 65536
#else
#define IMAGE_PAGE 4096
#endif

/* The region: the frozen part, and behind it the memory that a run allocates before it asks the kernel for more. All zero in an executable
 * that has not been frozen yet. A run does not write to what stands before the blocks: that would copy a page. */
struct image {
  JSRuntime *runtime;
  JSContext *context;
  JSValue start;           /* the program's entry, a function without arguments */
  char *starts[PARTS];     /* where each part but the cold one begins */
  char *frozen_end;        /* where the frozen part ends; a run allocates from here on */
  _Alignas(16) char blocks[IMAGE_SIZE - 4096];
};
extern struct image image;

/* An engine whose memory is the image. NULL when it cannot be made. To be called in image_load's function. */
JSRuntime *image_runtime(void);

/* Loads the program with `load`, so that the image holds what is left of it and nothing else (image-layout.h). Returns what `load`
 * returned: 0, or an exit status. */
int image_load(int (*load)(void));

/* Ends loading: what is allocated from here on belongs to the run. Returns the bytes to freeze. */
size_t image_freeze(void);

/* Prepares the memory that a run allocates from, and sets up the pages that it will write to: of the frozen part those from `written`
 * on. */
void image_start(enum part written);

#endif
