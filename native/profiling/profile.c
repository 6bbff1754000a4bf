#define _GNU_SOURCE
#include "profile.h"
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include "../frozen-image.h"

enum { PAGE = 4096 };

/* A transcript is text: lines "arg TEXT" and "env NAME=VALUE" with what the program was started with, then a line for each system call:
 *
 *   NUMBER RESULT ARGUMENT+OFFSET:BYTES...
 *
 * with the bytes, in hexadecimal, that the kernel changed in the byte array which that argument is. */
static FILE *transcript;
static bool is_recording;
static unsigned long calls;

static _Noreturn void stop(const char *what, const char *file) {
  fprintf(stderr, "profiling host: %s: %s: %s\n", what, file, strerror(errno));
  exit(1);
}

/* ---- recording ---- */

static long record(const long a[7], const size_t sizes[7]) {
  uint8_t *before[7] = {0};
  for (int i = 1; i < 7; i++)
    if (sizes[i] && (before[i] = malloc(sizes[i]))) memcpy(before[i], (void *)a[i], sizes[i]);
  long result = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
  if (result == -1) result = -errno;
  fprintf(transcript, "%ld %ld", a[0], result);
  for (int i = 1; i < 7; i++) {
    const uint8_t *after = (uint8_t *)a[i];
    size_t from = 0, to = before[i] ? sizes[i] : 0;
    while (from < to && after[from] == before[i][from]) from++;
    while (to > from && after[to - 1] == before[i][to - 1]) to--;
    if (from < to) fprintf(transcript, " %d+%zu:", i, from);
    for (; from < to; from++) fprintf(transcript, "%02x", after[from]);
    free(before[i]);
  }
  fputc('\n', transcript);
  fflush(transcript);
  return result;
}

static int record_run(char **argv, const char *file, int (*run)(char **argv)) {
  is_recording = true;
  if (!(transcript = fopen(file, "we"))) stop("cannot write the transcript", file);
  fprintf(transcript, "arg %s\n", argv[0]);
  for (char **variable = environ; *variable; variable++) fprintf(transcript, "env %s\n", *variable);
  if (dup2(3, 0) < 0 || close(3) < 0) stop("no configuration", "descriptor 3");
  char *args[] = { argv[0], NULL };
  image_start(WRITTEN_ALWAYS);
  return run(args);
}

/* ---- which blocks are touched ---- */

static uint8_t seen[IMAGE_SIZE / PAGE]; /* of each page of the image: 0, 1 when it was read, 2 when it was written to */

/* Reports whether a page fault was a write. Where the hardware does not say, a write comes as a read first. */
static bool is_write(void *context) {
#ifdef __x86_64__
  return ((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2;
#else
  (void)context;
  return false;
#endif
}

/* Nothing may be done to a page of the frozen part at first, then it may be read, then everything. */
static void on_fault(int signal_number, siginfo_t *info, void *context) {
  char *page = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
  uint8_t *access = &seen[(page - (char *)&image) / PAGE];
  bool is_in_image = page >= image.blocks && page < image.frozen_end;
  if (is_in_image) *access = *access || is_write(context) ? 2 : 1;
  if (!is_in_image || mprotect(page, PAGE, *access == 2 ? PROT_READ | PROT_WRITE : PROT_READ))
    signal(signal_number, SIG_DFL); /* happens again, and ends the process */
}

static char *first_block_page(void) { return (char *)&image + PAGE; } /* layout_place leaves out the page before, with the pointers of struct image */

static void watch(void) {
  struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
  sigaction(SIGSEGV, &action, NULL);
  if (mprotect(first_block_page(), image.frozen_end - first_block_page(), PROT_NONE)) stop("cannot protect", "the image");
}

/* The engine's kind of a block that says which properties an object has. It looks these up in a hash table by the address of the
 * prototype: through which others it goes on the way is different wherever the blocks lie. So all of them count as read. */
enum { SHAPE = 2 };

static uint8_t shapes[IMAGE_SIZE / PAGE]; /* of the page on which a block begins: whether it is one */

static void note_shapes(void) {
  size_t size;
  for (char *at = first_block_page(); at < image.frozen_end; at += (size + PAGE - 1) & ~(size_t)(PAGE - 1)) {
    layout_number_at(at, &size);
    shapes[(at - (char *)&image) / PAGE] = (((struct header *)at)->kind & 15) == SHAPE;
  }
}

/* Lines "block NUMBER SIZE ACCESS" for the blocks that were touched; access as in `seen`. */
static void print_blocks(void) {
  size_t size;
  for (char *at = first_block_page(); at < image.frozen_end; at += size) {
    uint32_t number = layout_number_at(at, &size);
    int access = 0;
    for (size_t page = 0; page < size; page += PAGE)
      if (seen[(at + page - (char *)&image) / PAGE] > access) access = seen[(at + page - (char *)&image) / PAGE];
    if (!access && shapes[(at - (char *)&image) / PAGE]) access = 1;
    if (access) printf("block %u %zu %d\n", number, size, access);
    size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
  }
}

/* ---- how much the engine does: its calls of functions and passes of loops ---- */

static unsigned long interrupts;
static JSValue nothing; /* a function that does nothing */

static int on_interrupt(JSRuntime *rt, void *opaque) {
  (void)rt, (void)opaque;
  interrupts++;
  return 0;
}

static JSValue do_nothing(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)ctx, (void)self, (void)argc, (void)argv;
  return JS_UNDEFINED;
}

/* The engine asks its interrupt handler after so many steps, always the same number. Returns how many calls are left until it does. */
static unsigned long steps_to_interrupt(void) {
  unsigned long steps = 0, before = interrupts;
  for (; interrupts == before; steps++) JS_Call(image.context, nothing, JS_UNDEFINED, 0, NULL);
  return steps;
}

/* ---- replaying ---- */

static const char *file_name;
static int (*run_program)(char **argv);
static unsigned long interval;

static char problem[200]; /* where the program first did something else than the transcript has */

static void note_problem(const char *format, long found, long wanted) {
  if (!*problem) snprintf(problem, sizeof problem, format, found, wanted);
}

static _Noreturn void finish_replay(void) {
  printf("transcript %s\ncalls %lu\n", file_name, calls);
  if (*problem) printf("stale %s\n", problem);
  print_blocks();
  unsigned long passed = interrupts;
  printf("steps %lu\n", (passed + 1) * interval - steps_to_interrupt());
  fflush(stdout);
  _exit(0);
}

/* The next line of the transcript without its newline, NULL at the end; valid until the next call. */
static char *next_line(void) {
  static char *line;
  static size_t room;
  ssize_t length = getline(&line, &room, transcript);
  if (length > 0 && line[length - 1] == '\n') line[length - 1] = 0;
  return length > 0 ? line : NULL;
}

/* The transcript's line for a system call. A program that no longer makes some calls is answered from where it goes on; one that makes
 * another call ends here. */
static char *line_for(long number) {
  enum { MOST_LEFT_OUT = 20 };
  long position = ftell(transcript), wanted = -1;
  for (int i = 0; i <= MOST_LEFT_OUT; i++) {
    char *line = next_line();
    if (!line) break;
#ifdef __x86_64__ /* transcripts are recorded there; other architectures have other numbers */
    long has = strtol(line, NULL, 10);
    if (i == 0) wanted = has;
    if (has != number) continue;
    if (i > 0) note_problem("system call %ld where it has %ld", number, wanted);
#endif
    return line;
  }
  if (wanted < 0) note_problem("it ends before system call %ld", number, 0);
  else note_problem("system call %ld where it has %ld", number, wanted);
  fseek(transcript, position, SEEK_SET);
  finish_replay();
}

static long replay(const long a[7], const size_t sizes[7]) {
  char *at = line_for(a[0]);
  strtol(at, &at, 10);
  long result = strtol(at, &at, 10);
  while (*at == ' ') {
    size_t argument = strtoul(at, &at, 10), offset = strtoul(at + 1, &at, 10);
    if (argument > 6) argument = 0; /* no transcript of ours: has no room */
    uint8_t *to = (uint8_t *)a[argument] + offset, *end = (uint8_t *)a[argument] + sizes[argument];
    for (at++; *at && *at != ' '; at += 2) {
      if (to >= end) {
        note_problem("argument %ld of system call %ld has become smaller", argument, a[0]);
        finish_replay();
      }
      char digits[3] = { at[0], at[1], 0 };
      *to++ = strtoul(digits, NULL, 16);
    }
  }
  return result;
}

static _Noreturn void replay_run(const char *file) {
  enum { MOST = 100 };
  static char *args[MOST + 1], *variables[MOST + 1];
  int arg_count = 0, variable_count = 0;
  file_name = file;
  if (!(transcript = fopen(file, "re"))) stop("cannot read the transcript", file);
  for (int c; (c = getc(transcript)) == 'a' || c == 'e';) {
    char *line = next_line();
    if (!line || strlen(line) < 3 || arg_count == MOST || variable_count == MOST) stop("this is no transcript", file);
    char *text = strdup(line + 3);
    if (c == 'a') args[arg_count++] = text;
    else variables[variable_count++] = text;
  }
  fseek(transcript, -1, SEEK_CUR); /* the first digit of the first call */
  environ = variables;
  interval = (steps_to_interrupt(), steps_to_interrupt());
  interrupts = 0;
  image_start(WRITTEN_ALWAYS);
  watch();
  run_program(args);
  if (next_line()) note_problem("it goes on where the program ends", 0, 0);
  finish_replay();
}

/* A replay is a process of its own, so that all begin with the memory as the load has left it. As many run at once as there are
 * processors; what each prints goes to a file of its own, and from there to standard output in the order of the transcripts. */
struct replay {
  const char *file;
  pid_t process;
  FILE *output;
};

static struct replay start_replay(const char *file) {
  struct replay started = { .file = file, .output = tmpfile() };
  if (!started.output || (started.process = fork()) < 0) stop("cannot start a process for", file);
  if (started.process) return started;
  if (dup2(fileno(started.output), 1) < 0) stop("cannot write what is found in", file);
  replay_run(file);
}

/* Waits for a replay and prints its output. Returns its wait status. */
static int end_replay(struct replay ending) {
  char text[1 << 16];
  int status;
  if (waitpid(ending.process, &status, 0) != ending.process) stop("cannot wait for the process of", ending.file);
  if (status) fprintf(stderr, "profiling host: the replay of %s ended with wait status %#x\n", ending.file, status);
  rewind(ending.output);
  for (size_t size; (size = fread(text, 1, sizeof text, ending.output)) > 0;) fwrite(text, 1, size, stdout);
  fclose(ending.output);
  fflush(stdout); /* else the next process would have a copy of it, and print that */
  return status;
}

static int replay_all(char **files) {
  enum { MOST_AT_ONCE = 16 };
  struct replay running[MOST_AT_ONCE];
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  size_t at_once = processors < 1 ? 1 : processors < MOST_AT_ONCE ? processors : MOST_AT_ONCE, started = 0, ended = 0;
  nothing = JS_NewCFunction(image.context, do_nothing, "nothing", 0);
  JS_SetInterruptHandler(image.runtime, on_interrupt, NULL);
  note_shapes();
  printf("allocations %u\n", layout_count());
  fflush(stdout);
  for (int failed = 0;; failed |= end_replay(running[ended++ % at_once])) {
    while (files[started] && started - ended < at_once) running[started % at_once] = start_replay(files[started]), started++;
    if (ended == started) return failed != 0;
  }
}

/* ---- */

long profile_syscall(const long a[7], const size_t sizes[7]) {
  calls++;
  return is_recording ? record(a, sizes) : replay(a, sizes);
}

void profile_unanswerable(const char *what) {
  if (is_recording) return;
  note_problem(what, 0, 0);
  finish_replay();
}

int profile(int argc, char **argv, int (*run)(char **argv)) {
  run_program = run;
  if (argc == 3 && !strcmp(argv[1], "record")) return record_run(argv, argv[2], run);
  if (argc >= 2 && !strcmp(argv[1], "replay")) return replay_all(argv + 2);
  fprintf(stderr, "usage: profiling-host record TRANSCRIPT | replay TRANSCRIPT...\n");
  return 2;
}
