// The thin C that libjpeg and libpng force: both report errors by longjmp, which Swift must not see.
// A header is read first, so that the caller can refuse a picture before it allocates its pixels.

#ifndef DUET_IMAGE_CODECS_H
#define DUET_IMAGE_CODECS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    DUET_IMAGE_OK = 0,
    DUET_IMAGE_CORRUPT,
    DUET_IMAGE_TRUNCATED,
    DUET_IMAGE_UNSUPPORTED,
    DUET_IMAGE_TOO_LARGE,
} duet_image_status;

// Room for what the library says of an error, with its zero.
#define DUET_IMAGE_MESSAGE 200

typedef struct {
    uint32_t width, height;
    // Bytes a pixel that decode() writes: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha or CMYK.
    int channels;
    // The four channels are ink, as Adobe stores it (255 is none).
    bool ink, inverted;
    // Bytes that the library allocates for the whole picture, apart from its pixels.
    uint64_t working_bytes;
    // Blocks or bytes that every pass over the picture handles.
    uint64_t work;
} duet_image_header;

// message: at least DUET_IMAGE_MESSAGE bytes, set to text that ends in zero.
duet_image_status duet_jpeg_header(const uint8_t *bytes, size_t count, duet_image_header *header, char *message);

// Decodes at 1/denominator (1, 2, 4 or 8) of the size, each side rounded up, into rows without gaps.
// maximum_scans bounds the time that a progressive file may take.
duet_image_status duet_jpeg_decode(const uint8_t *bytes, size_t count, int denominator, int maximum_scans,
                                   size_t maximum_memory, uint8_t *pixels, size_t capacity, char *message);

duet_image_status duet_png_header(const uint8_t *bytes, size_t count, duet_image_header *header, char *message);
duet_image_status duet_png_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t capacity,
                                  char *message);

#endif
