/* The plugin host: runs the frozen program and gives it one door to the kernel, the global object `host`:
 *
 *   syscall(nr, ...)                         up to 6 numbers, bigints, strings or byte arrays; the result or -errno
 *   address(bytes)                           where a byte array lies, for structures that hold pointers
 *   encode(text), decode(bytes[, from, to])  UTF-8
 *   encodeInto(bytes, at, text)              the same into memory that is there; where it ends
 *   sha512(bytes)                            the hash, 64 bytes
 *   spawn(path, argv, env, [fd0, fd1, fd2])  starts a program; its process ID or -errno
 *   monotonicMs()                            CLOCK_MONOTONIC, which libc reads without a system call (vDSO)
 *   collect()                                frees values that refer to each other and to which nothing else does
 *   args, environ, arch                      what this process was started with, on which architecture
 *   start                                    set by the program while it is frozen: its entry, returns the exit status
 *
 * All else is TypeScript. A C function is here because a script cannot do what it does, or because it visits byte by byte, which takes
 * the interpreter 50 times as long. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "frozen-image.h"
#include "sha512.h"
#ifdef PROFILE
#include "profiling/profile.h"
#endif

#define TYPE_ERROR(ctx, ...) JS_ThrowTypeError(ctx, __FILE__, __LINE__, __VA_ARGS__)

/* The memory of a byte array or ArrayBuffer; NULL when v is neither. Valid while v lives and is not resized. */
static uint8_t *bytes_of(JSContext *ctx, JSValueConst v, size_t *size) {
  JSClassID id = JS_GetClassID(v);
  if (id == JS_CLASS_ARRAY_BUFFER || id == JS_CLASS_SHARED_ARRAY_BUFFER) return JS_GetArrayBuffer(ctx, size, v);
  if (id < JS_CLASS_UINT8C_ARRAY || id > JS_CLASS_FLOAT64_ARRAY) return NULL;
  size_t offset, length, whole;
  JSValue buffer = JS_GetTypedArrayBuffer(ctx, v, &offset, &length, NULL);
  if (JS_IsException(buffer)) return NULL;
  uint8_t *p = JS_GetArrayBuffer(ctx, &whole, buffer);
  JS_FreeValue(ctx, buffer); /* v keeps it alive */
  *size = length;
  return p ? p + offset : NULL;
}

/* The UTF-8 of a value's text, NUL-terminated; free with JS_FreeCString. NULL: an exception is set. The engine writes a lone
 * surrogate as three bytes that are not UTF-8; U+FFFD has three too. Text that is not ASCII is a copy of ours. */
static const char *utf8_of(JSContext *ctx, JSValueConst value, size_t *size) {
  const char *text = JS_ToCStringLen(ctx, size, value);
  for (size_t i = 0; text && i + 2 < *size; i++)
    if ((uint8_t)text[i] == 0xed && (uint8_t)text[i + 1] >= 0xa0) memcpy((char *)text + i, "\xef\xbf\xbd", 3);
  return text;
}

/* Makes a system call. Returns its result or -errno. sizes[i] is how many bytes are at a[i], where that is a byte array. */
static long system_call(const long a[7], const size_t sizes[7]) {
#ifdef PROFILE
  return profile_syscall(a, sizes);
#else
  (void)sizes;
  long result = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
  return result == -1 ? -errno : result;
#endif
}

/* syscall(nr, ...args) -> number
 *
 * At most six arguments: a number goes as it is, undefined as 0, a string as a NUL-terminated copy, a byte array as its own memory, so
 * that the kernel can write into it. Returns the kernel's result or -errno: a refusal is an answer here, and what it
 * means is decided in pkg/sys. A string with a NUL, which the kernel would cut there, is -EINVAL without asking it. Throws TypeError for
 * any other argument; the kernel has not been asked then. */
static JSValue host_syscall(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self;
  long a[7] = {0};
  size_t sizes[7] = {0};
  const char *text[7] = {0};
  JSValue result = JS_EXCEPTION;
  if (argc < 1 || argc > 7) return TYPE_ERROR(ctx, "syscall takes a number and at most 6 arguments, not %d", argc - 1);
  for (int i = 0; i < argc; i++) {
    size_t length;
    int64_t n;
    if (JS_VALUE_GET_TAG(argv[i]) == JS_TAG_INT) {
      a[i] = JS_VALUE_GET_INT(argv[i]);
    } else if (JS_IsUndefined(argv[i])) {
      continue; /* 0, as one that is left out */
    } else if (JS_IsString(argv[i])) {
      if (!(text[i] = utf8_of(ctx, argv[i], &length))) goto done;
      if (memchr(text[i], 0, length)) {
        result = JS_NewInt32(ctx, -EINVAL);
        goto done;
      }
      a[i] = (long)text[i];
    } else if (JS_IsObject(argv[i])) {
      uint8_t *p = bytes_of(ctx, argv[i], &sizes[i]);
      if (!p) {
        if (!JS_HasException(ctx)) TYPE_ERROR(ctx, "syscall argument %d is an object but not bytes", i);
        goto done;
      }
      a[i] = (long)p;
    } else {
      if (JS_ToInt64Ext(ctx, &n, argv[i])) goto done;
      a[i] = n;
    }
  }
  result = JS_NewInt64(ctx, system_call(a, sizes));
done:
  for (int i = 0; i < argc; i++)
    if (text[i]) JS_FreeCString(ctx, text[i]);
  return result;
}

/* address(bytes) -> number. Throws TypeError for anything that is not a byte array. */
static JSValue host_address(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t size;
  uint8_t *p = bytes_of(ctx, argv[0], &size);
  if (!p) return JS_HasException(ctx) ? JS_EXCEPTION : TYPE_ERROR(ctx, "address: not bytes");
  return JS_NewInt64(ctx, (int64_t)p);
}

/* A Uint8Array with a copy of these bytes. */
static JSValue new_bytes(JSContext *ctx, const uint8_t *from, size_t size) {
  JSValue buffer = JS_NewArrayBufferCopy(ctx, from, size);
  if (JS_IsException(buffer)) return buffer;
  JSValue arg[3] = { buffer, JS_UNDEFINED, JS_UNDEFINED };
  JSValue bytes = JS_NewTypedArray(ctx, 3, arg, JS_TYPED_ARRAY_UINT8); /* reads three arguments, always */
  JS_FreeValue(ctx, buffer);
  return bytes;
}

/* encode(text) -> Uint8Array, UTF-8 without a NUL at the end. */
static JSValue host_encode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t size;
  const char *s = utf8_of(ctx, argv[0], &size);
  if (!s) return JS_EXCEPTION;
  JSValue bytes = new_bytes(ctx, (const uint8_t *)s, size);
  JS_FreeCString(ctx, s);
  return bytes;
}

/* encodeInto(bytes, at, text) -> number: writes UTF-8 from `at`, returns where it ends. Throws RangeError where it does not fit. */
static JSValue host_encodeInto(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t room, size;
  int64_t at;
  if (JS_ToInt64(ctx, &at, argv[1])) return JS_EXCEPTION;
  const char *s = utf8_of(ctx, argv[2], &size); /* may run a script, so before the memory is looked at */
  if (!s) return JS_EXCEPTION;
  JSValue end = JS_EXCEPTION;
  uint8_t *p = bytes_of(ctx, argv[0], &room);
  if (!p) {
    if (!JS_HasException(ctx)) TYPE_ERROR(ctx, "encodeInto: not bytes");
  } else if (at < 0 || (uint64_t)at > room || size > room - at) {
    end = JS_ThrowRangeError(ctx, __FILE__, __LINE__, "encodeInto: %zu bytes at %lld of %zu", size, (long long)at, room);
  } else {
    memcpy(p + at, s, size);
    end = JS_NewInt64(ctx, at + size);
  }
  JS_FreeCString(ctx, s);
  return end;
}

/* findAttributes(bytes, from, to, wanted) -> number[]
 *
 * Where the netlink attributes in from..to begin whose types are wanted: wanted[type] is not 0. Ends at one whose length cannot be right,
 * which is the last of the answer then: who reads it says what is wrong. */
static JSValue host_findAttributes(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  int64_t from, to;
  size_t size, types;
  if (JS_ToInt64(ctx, &from, argv[1]) || JS_ToInt64(ctx, &to, argv[2])) return JS_EXCEPTION;
  uint8_t *p = bytes_of(ctx, argv[0], &size), *wanted = bytes_of(ctx, argv[3], &types);
  if (!p || !wanted) return JS_HasException(ctx) ? JS_EXCEPTION : TYPE_ERROR(ctx, "findAttributes: not bytes");
  if (from < 0 || to > (int64_t)size || from > to)
    return JS_ThrowRangeError(ctx, __FILE__, __LINE__, "findAttributes: %lld..%lld outside of %zu bytes", (long long)from, (long long)to, size);
  JSValue found = JS_NewArray(ctx);
  uint32_t count = 0;
  for (int64_t at = from; to - at >= (int64_t)sizeof(uint32_t) && !JS_IsException(found);) {
    uint16_t header[2]; /* linux/netlink.h: struct nlattr, length and type; the upper two bits of the type are flags */
    memcpy(header, p + at, sizeof header);
    uint16_t type = header[1] & 0x3fff;
    int64_t end = at + header[0];
    int is_broken = header[0] < sizeof header || end > to;
    if (is_broken || (type < types && wanted[type])) JS_SetPropertyUint32(ctx, found, count++, JS_NewInt64(ctx, at));
    if (is_broken) break;
    at = (end + 3) & ~3;
  }
  return found;
}

/* find(bytes, wanted, from, to) -> number: where in from..to the wanted bytes begin for the first time, or -1. */
static JSValue host_find(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  int64_t from, to;
  size_t size, length;
  if (JS_ToInt64(ctx, &from, argv[2]) || JS_ToInt64(ctx, &to, argv[3])) return JS_EXCEPTION;
  uint8_t *p = bytes_of(ctx, argv[0], &size), *wanted = bytes_of(ctx, argv[1], &length);
  if (!p || !wanted) return JS_HasException(ctx) ? JS_EXCEPTION : TYPE_ERROR(ctx, "find: not bytes");
  if (from < 0 || to > (int64_t)size || from > to)
    return JS_ThrowRangeError(ctx, __FILE__, __LINE__, "find: %lld..%lld outside of %zu bytes", (long long)from, (long long)to, size);
  uint8_t *found = memmem(p + from, to - from, wanted, length);
  return JS_NewInt64(ctx, found ? found - p : -1);
}

/* sha512(bytes) -> Uint8Array */
static JSValue host_sha512(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t size;
  uint8_t hash[SHA512_SIZE], *p = bytes_of(ctx, argv[0], &size);
  if (!p) return JS_HasException(ctx) ? JS_EXCEPTION : TYPE_ERROR(ctx, "sha512: not bytes");
  sha512(p, size, hash);
  return new_bytes(ctx, hash, sizeof hash);
}

/* Length of the UTF-8 sequence at p, or 0 where it is ill-formed; *skip is then how many bytes one U+FFFD stands for: the
 * longest start of a well-formed sequence, else one byte. This is the decoder of the WHATWG Encoding Standard. */
static size_t sequence_length(const uint8_t *p, const uint8_t *end, size_t *skip) {
  uint8_t first = *p, low = 0x80, high = 0xbf; /* of the second byte; narrower where overlong, a surrogate or too great */
  size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (first == 0xe0) low = 0xa0;
  if (first == 0xed) high = 0x9f;
  if (first == 0xf0) low = 0x90;
  if (first == 0xf4) high = 0x8f;
  for (size_t i = *skip = 1; i < length; i++, low = 0x80, high = 0xbf) {
    if (p + i == end || p[i] < low || p[i] > high) return 0;
    *skip = i + 1;
  }
  return length;
}

/* A string from bytes that should be UTF-8. The engine alone would make lone surrogates of encoded ones, and a string that
 * has one can be neither compared with what was written nor given to encodeURIComponent. */
static JSValue string_of(JSContext *ctx, const char *bytes, size_t size) {
  const uint8_t *p = (const uint8_t *)bytes, *end = p + size;
  size_t skip, length;
  while (p < end && (length = sequence_length(p, end, &skip))) p += length;
  if (p == end) return JS_NewStringLen(ctx, bytes, size);
  uint8_t *repaired = js_malloc(ctx, 3 * size), *to = repaired;
  if (!repaired) return JS_EXCEPTION;
  for (p = (const uint8_t *)bytes; p < end; p += skip) {
    length = sequence_length(p, end, &skip);
    memcpy(to, length ? p : (const uint8_t *)"\xef\xbf\xbd", length ? length : 3);
    to += length ? length : 3;
  }
  JSValue string = JS_NewStringLen(ctx, (char *)repaired, to - repaired);
  js_free(ctx, repaired);
  return string;
}

/* decode(bytes[, from, to]) -> string. Ill-formed UTF-8 becomes U+FFFD. Throws RangeError outside of the array. */
static JSValue host_decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self;
  size_t size;
  uint8_t *p = bytes_of(ctx, argv[0], &size);
  if (!p) return JS_HasException(ctx) ? JS_EXCEPTION : TYPE_ERROR(ctx, "decode: not bytes");
  int64_t from = 0, to = size;
  if (argc > 1 && JS_ToInt64(ctx, &from, argv[1])) return JS_EXCEPTION;
  if (argc > 2 && !JS_IsUndefined(argv[2]) && JS_ToInt64(ctx, &to, argv[2])) return JS_EXCEPTION;
  if (from < 0 || to > (int64_t)size || from > to)
    return JS_ThrowRangeError(ctx, __FILE__, __LINE__, "decode: %lld..%lld outside of %zu bytes", (long long)from, (long long)to, size);
  return string_of(ctx, (char *)p + from, to - from);
}

static void free_vector(JSContext *ctx, const char **v) {
  for (size_t i = 0; v && v[i]; i++) JS_FreeCString(ctx, v[i]);
  js_free(ctx, v);
}

/* A C vector of strings from an array of strings, NULL-terminated; free with free_vector. NULL: an exception is set. */
static const char **vector(JSContext *ctx, JSValueConst list) {
  JSValue length = JS_GetPropertyStr(ctx, list, "length");
  uint32_t n = 0;
  if (JS_ToUint32(ctx, &n, length)) return NULL;
  const char **v = js_mallocz(ctx, (n + 1) * sizeof *v);
  for (uint32_t i = 0; v && i < n; i++) {
    JSValue item = JS_GetPropertyUint32(ctx, list, i);
    size_t size;
    v[i] = utf8_of(ctx, item, &size);
    JS_FreeValue(ctx, item);
    if (!v[i]) {
      free_vector(ctx, v);
      return NULL;
    }
  }
  return v;
}

/* The signals that were blocked when this process was started: the programs that it starts get these. */
static sigset_t inherited_mask;

/* spawn(path, argv, env, [fd0, fd1, fd2]) -> process ID or -errno
 *
 * The child borrows this address space until exec (vfork), which a script cannot do by itself: no page table is copied.
 * The three descriptors become its 0, 1 and 2, everything else closes on exec because it was opened so. It is killed when
 * this process dies: a delegate must not go on configuring for a caller that the runtime has given up. */
static JSValue host_spawn(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self;
  if (argc < 4) return TYPE_ERROR(ctx, "spawn(path, argv, env, fds)");
#ifdef PROFILE
  profile_unanswerable("it starts a program");
#endif
  const char *path = JS_ToCString(ctx, argv[0]), **args = vector(ctx, argv[1]), **env = vector(ctx, argv[2]);
  JSValue result = JS_EXCEPTION;
  if (!path || !args || !env) goto done;
  int32_t fds[3];
  for (uint32_t i = 0; i < 3; i++) {
    JSValue item = JS_GetPropertyUint32(ctx, argv[3], i);
    if (JS_ToInt32(ctx, &fds[i], item)) goto done;
  }
  pid_t caller = getpid();
  volatile int error = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &inherited_mask, NULL);
    if (getppid() != caller) _exit(127); /* died before it could be told */
    for (int i = 0; i < 3; i++)
      if (fds[i] == i ? fcntl(i, F_SETFD, 0) < 0 : dup2(fds[i], i) < 0) goto refused;
    execve(path, (char **)args, (char **)env);
  refused:
    error = errno;
    _exit(127);
  }
  if (pid > 0 && error) waitpid(pid, NULL, 0);
  result = JS_NewInt32(ctx, pid < 0 ? -errno : error ? -error : pid);
done:
  JS_FreeCString(ctx, path);
  free_vector(ctx, args);
  free_vector(ctx, env);
  return result;
}

/* monotonicMs() -> number, with fractions. A script could only make the system call. */
static JSValue host_monotonicMs(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc, (void)argv;
  struct timespec now = { 0 };
#ifndef PROFILE /* whose clock stands still: which system calls a run makes must not depend on how busy the machine is */
  clock_gettime(CLOCK_MONOTONIC, &now);
#endif
  return JS_NewFloat64(ctx, now.tv_sec * 1e3 + now.tv_nsec / 1e6);
}

/* collect(): plugins never need it, what stays does (JS_SetGCThreshold in load). */
static JSValue host_collect(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc, (void)argv;
  JS_RunGC(JS_GetRuntime(ctx));
  return JS_UNDEFINED;
}

static const JSCFunctionListEntry host_functions[] = {
  JS_CFUNC_DEF("syscall", 7, host_syscall), JS_CFUNC_DEF("address", 1, host_address),
  JS_CFUNC_DEF("encode", 1, host_encode),   JS_CFUNC_DEF("decode", 3, host_decode),
  JS_CFUNC_DEF("encodeInto", 3, host_encodeInto), JS_CFUNC_DEF("sha512", 1, host_sha512),
  JS_CFUNC_DEF("findAttributes", 4, host_findAttributes), JS_CFUNC_DEF("find", 4, host_find),
  JS_CFUNC_DEF("spawn", 4, host_spawn),     JS_CFUNC_DEF("collect", 0, host_collect),
  JS_CFUNC_DEF("monotonicMs", 0, host_monotonicMs),
};

static JSValue strings(JSContext *ctx, char **list) {
  JSValue array = JS_NewArray(ctx);
  for (uint32_t i = 0; list[i]; i++) JS_SetPropertyUint32(ctx, array, i, string_of(ctx, list[i], strlen(list[i])));
  return array;
}

/* Writes everything, or as much as the other side takes. */
static void put(int fd, const char *s, size_t n) {
  while (n) {
    ssize_t w = write(fd, s, n);
    if (w < 0 && errno != EINTR) return;
    if (w > 0) s += w, n -= w;
  }
}

/* Last resort: what no script code caught becomes the error object of the CNI specification. Returns the exit status. */
static int report(JSContext *ctx) {
  JSValue thrown = JS_GetException(ctx), object = JS_NewObject(ctx);
  JS_SetPropertyStr(ctx, object, "code", JS_NewInt32(ctx, 999));
  JS_SetPropertyStr(ctx, object, "msg", JS_ToString(ctx, thrown));
  if (JS_IsError(ctx, thrown)) JS_SetPropertyStr(ctx, object, "details", JS_GetPropertyStr(ctx, thrown, "stack"));
  JSValue json = JS_JSONStringify(ctx, object, JS_UNDEFINED, JS_UNDEFINED);
  size_t size;
  const char *s = JS_ToCStringLen(ctx, &size, json);
  if (s) put(1, s, size), put(1, "\n", 1);
  return 1;
}

static uint8_t bytecode[4 << 20];
static size_t bytecode_size;

/* Makes the engine and runs the program's top level, which must leave its entry in host.start. Returns 0, or the exit status after it
 * said what is wrong. */
static int load(void) {
  JSRuntime *rt = image_runtime();
  if (!rt) return 111;
  JS_SetGCThreshold(rt, (size_t)-1); /* lives for milliseconds: never collect cycles */
  JS_SetMaxStackSize(rt, 4 << 20);
  JSContext *ctx = JS_NewContextRaw(rt);
  if (!ctx || JS_AddIntrinsicBaseObjects(ctx) || JS_AddIntrinsicDate(ctx) || JS_AddIntrinsicRegExp(ctx)
      || JS_AddIntrinsicJSON(ctx) || JS_AddIntrinsicProxy(ctx) || JS_AddIntrinsicMapSet(ctx) || JS_AddIntrinsicTypedArrays(ctx)
      || JS_AddIntrinsicPromise(ctx) || JS_AddIntrinsicStringNormalize(ctx) || JS_AddIntrinsicWeakRef(ctx))
    return 111; /* all but Eval: a program that runs as root has no use for it */

  JSValue global = JS_GetGlobalObject(ctx), host = JS_NewObject(ctx);
  JS_SetPropertyFunctionList(ctx, host, host_functions, sizeof host_functions / sizeof *host_functions);
#if defined __x86_64__
  JS_SetPropertyStr(ctx, host, "arch", JS_NewString(ctx, "x64")); /* system call numbers and some structures differ */
#elif defined __aarch64__
  JS_SetPropertyStr(ctx, host, "arch", JS_NewString(ctx, "arm64"));
#endif
  JS_SetPropertyStr(ctx, global, "host", host);

  JSValue program = JS_ReadObject(ctx, bytecode, bytecode_size, JS_READ_OBJ_BYTECODE);
  if (JS_IsException(program) || JS_IsException(JS_EvalFunction(ctx, program))) return report(ctx);
  JS_RunGC(rt);
  image.runtime = rt;
  image.context = ctx;
  image.start = JS_GetPropertyStr(ctx, host, "start");
  return 0;
}

/* The bytes of stack that the program may use: 4 MB, or less where RLIMIT_STACK is lower. A quarter of that may be taken by arguments
 * and environment, and C functions that the engine calls without a look at the limit need some. */
static size_t stack_size(void) {
  enum { MOST = 4 << 20, LEAST = 16 << 10, SPARE = 32 << 10 };
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur >= 2 * MOST) return MOST;
  size_t most = limit.rlim_cur / 4 * 3;
  return most < LEAST + SPARE ? LEAST : most - SPARE < MOST ? most - SPARE : MOST;
}

static int run(char **argv) {
  JSContext *ctx = image.context;
  JS_SetMaxStackSize(image.runtime, stack_size());
  JS_UpdateStackTop(image.runtime);
  JSValue global = JS_GetGlobalObject(ctx), host = JS_GetPropertyStr(ctx, global, "host");
  JS_SetPropertyStr(ctx, host, "args", strings(ctx, argv));
  JS_SetPropertyStr(ctx, host, "environ", strings(ctx, environ));
  JSValue result = JS_Call(ctx, image.start, JS_UNDEFINED, 0, NULL);
  int32_t status;
  if (JS_IsException(result) || JS_ToInt32(ctx, &status, result)) return report(ctx);
  return status;
}

/* The first part of the image that the call writes to as a whole: VERSION, and the first lines of a tool, write to next to nothing. */
static enum part written_part(void) {
  const char *command = getenv("CNI_COMMAND");
  if (!command || !strcmp(command, "VERSION")) return WRITTEN_ALWAYS;
  return strcmp(command, "ADD") ? WRITTEN_OFTEN : WRITTEN_BY_ADD;
}

#if !defined PROFILE && !defined RUN_UNFROZEN
/* Replaces the words of a block that are least..most. */
static void replace_words(void *block, uint64_t least, uint64_t most, uint64_t with) {
  uint64_t *word = block, *end = word + js_malloc_usable_size_rt(NULL, block) / sizeof *word;
  for (; word < end; word++)
    if (*word >= least && *word <= most) *word = with;
}

static uint64_t microseconds(void) {
  struct timeval now;
  gettimeofday(&now, NULL);
  return now.tv_sec * 1000000ull + now.tv_usec;
}

/* Takes out of the engine what is of this process and this moment, so that two builds are the same byte by byte: where the stack is, which a
 * run tells it anew, and the seed of Math.random, the time at which the context was made. */
static void forget_process(uint64_t started) {
  enum { STACK = 8 << 20 };
  uint64_t here = (uintptr_t)__builtin_frame_address(0);
  replace_words(image.runtime, here - STACK, here + STACK, 0);
  replace_words(image.context, started, microseconds(), 1);
}
#endif

/* Does what is asked of a host without an image: makes one, on standard output, from the bytecode on standard input. An argument is
 * the file that says where the blocks lie (image-layout.h). Returns the exit status. */
static int freeze(int argc, char **argv) {
  for (ssize_t n; (n = read(0, bytecode + bytecode_size, sizeof bytecode - bytecode_size)) > 0;) bytecode_size += n;
#ifndef PROFILE
  if (argc > 1) layout_read(argv[1]);
#endif
#if !defined PROFILE && !defined RUN_UNFROZEN
  uint64_t started = microseconds();
#endif
  int failed = image_load(load);
  if (failed) return failed;
  size_t size = image_freeze();
#if defined RUN_UNFROZEN /* the sanitizer's build: no image, the program's own standard input is empty */
  (void)size;
  image_start(WRITTEN_OFTEN);
  return run(argv);
#elif defined PROFILE
  (void)size;
  return profile(argc, argv, run);
#else
  forget_process(started);
  put(1, (char *)&image, size);
  return 0;
#endif
}

int main(int argc, char **argv) {
  if (!image.context) _exit(freeze(argc, argv));
  struct pollfd standard[3] = { { .fd = 0 }, { .fd = 1 }, { .fd = 2 } };
  poll(standard, 3, 0); /* tells of all three in one call which are open */
  for (int fd = 0; fd <= 2; fd++) /* started without it: else the first file opened would be standard output */
    if (standard[fd].revents & POLLNVAL) open("/dev/null", O_RDONLY); /* what is written fails with EBADF: an answer is not lost in silence */
  sigset_t blocked; /* both at once: a reader that has gone is EPIPE, a file that may not grow is EFBIG: no reason to end half-way */
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGPIPE);
  sigaddset(&blocked, SIGXFSZ);
  sigprocmask(SIG_BLOCK, &blocked, &inherited_mask);
  image_start(written_part());
  _exit(run(argv)); /* no teardown: the kernel frees everything at once */
}
