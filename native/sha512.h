#include <stddef.h>
#include <stdint.h>

enum { SHA512_SIZE = 64 };

void sha512(const uint8_t *message, size_t size, uint8_t hash[SHA512_SIZE]);
