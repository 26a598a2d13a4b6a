#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CImageCodecs.h"

typedef struct {
    const uint8_t *bytes;
    size_t left;
    jmp_buf escape;
    duet_image_status status;
    char *message;
    int warnings;
    png_structp png;
    png_infop info;
} context;

static void fail(context *c, duet_image_status status, const char *message) {
    c->status = status;
    snprintf(c->message, DUET_IMAGE_MESSAGE, "%s", message);
    longjmp(c->escape, 1);
}

static void on_error(png_structp png, png_const_charp text) {
    fail(png_get_error_ptr(png), DUET_IMAGE_CORRUPT, text);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png, (void)text;
}

static void read_bytes(png_structp png, png_bytep out, size_t count) {
    context *c = png_get_io_ptr(png);
    if (count > c->left) fail(c, DUET_IMAGE_TRUNCATED, "the data end early");
    memcpy(out, c->bytes, count);
    c->bytes += count;
    c->left -= count;
}

static void start(context *c, const uint8_t *bytes, size_t count, char *message) {
    memset(c, 0, sizeof *c);
    c->bytes = bytes;
    c->left = count;
    c->message = message;
    message[0] = 0;
}

// Ancillary chunks other than transparency are skipped unread: text may inflate to any size.
static void read_info(context *c) {
    c->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, c, on_error, on_warning);
    if (!c->png) fail(c, DUET_IMAGE_TOO_LARGE, "no memory");
    c->info = png_create_info_struct(c->png);
    if (!c->info) fail(c, DUET_IMAGE_TOO_LARGE, "no memory");
    png_set_read_fn(c->png, c, read_bytes);
    png_set_user_limits(c->png, 1000000, 1000000);
    png_set_chunk_malloc_max(c->png, 8 << 20);
    png_set_chunk_cache_max(c->png, 64);
    png_set_keep_unknown_chunks(c->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(c->png, c->info);
}

// Whatever the file holds becomes 8-bit grey or RGB, with alpha where any pixel may be transparent.
static void expand(context *c) {
    png_set_expand(c->png);
    png_set_strip_16(c->png);
}

static void describe(context *c, duet_image_header *header) {
    *header = (duet_image_header){0};
    header->width = png_get_image_width(c->png, c->info);
    header->height = png_get_image_height(c->png, c->info);
    uint64_t row = png_get_rowbytes(c->png, c->info);
    header->work = row * header->height;
    header->working_bytes = 4 * row + (1 << 16);
    int colour = png_get_color_type(c->png, c->info);
    bool rgb = colour & PNG_COLOR_MASK_COLOR;
    bool alpha = (colour & PNG_COLOR_MASK_ALPHA) || png_get_valid(c->png, c->info, PNG_INFO_tRNS);
    header->channels = (rgb ? 3 : 1) + (alpha ? 1 : 0);
}

duet_image_status duet_png_header(const uint8_t *bytes, size_t count, duet_image_header *header, char *message) {
    context c;
    start(&c, bytes, count, message);
    if (setjmp(c.escape) == 0) {
        read_info(&c);
        describe(&c, header);
    }
    png_destroy_read_struct(&c.png, &c.info, NULL);
    return c.status;
}

duet_image_status duet_png_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t capacity,
                                  char *message) {
    context c;
    start(&c, bytes, count, message);
    if (setjmp(c.escape) == 0) {
        read_info(&c);
        expand(&c);
        int passes = png_set_interlace_handling(c.png);
        png_read_update_info(c.png, c.info);
        size_t row = png_get_rowbytes(c.png, c.info), height = png_get_image_height(c.png, c.info);
        if (row == 0 || capacity / row < height) fail(&c, DUET_IMAGE_CORRUPT, "its size changes");
        for (int pass = 0; pass < passes; pass++)
            for (size_t y = 0; y < height; y++) png_read_row(c.png, pixels + y * row, NULL);
    }
    png_destroy_read_struct(&c.png, &c.info, NULL);
    return c.status;
}
