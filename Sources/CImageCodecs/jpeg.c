#include <setjmp.h>
#include <stdio.h>
#include <string.h>

// libjpeg's header needs FILE and size_t before it.
#include <jpeglib.h>
#include <jerror.h>

#include "CImageCodecs.h"

// Warnings after which a file is given up: each costs time, and the picture is beyond use.
#define MAXIMUM_WARNINGS 100

typedef struct {
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    duet_image_status status;
    int maximum_scans;
    bool ended;
    char *message;
} context;

static const JOCTET end_marker[2] = {0xff, JPEG_EOI};

static void fail(context *c, duet_image_status status, const char *message) {
    c->status = status;
    snprintf(c->message, DUET_IMAGE_MESSAGE, "%s", message);
    longjmp(c->escape, 1);
}

static void on_error(j_common_ptr info) {
    context *c = info->client_data;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    bool memory = info->err->msg_code == JERR_OUT_OF_MEMORY || info->err->msg_code == JERR_NO_BACKING_STORE;
    fail(c, memory ? DUET_IMAGE_TOO_LARGE : c->ended ? DUET_IMAGE_TRUNCATED : DUET_IMAGE_CORRUPT, text);
}

// Data that end within a scan leave part of the picture grey: an error, as with a file cut short.
static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    context *c = info->client_data;
    info->err->num_warnings++;
    if (info->err->msg_code == JWRN_HIT_MARKER) on_error(info);
    if (info->err->num_warnings > MAXIMUM_WARNINGS) fail(c, DUET_IMAGE_CORRUPT, "too many damaged places");
}

static void on_output(j_common_ptr info) { (void)info; }

static void start_source(j_decompress_ptr info) { (void)info; }

// All bytes were there from the start, so a call for more means that they have run out.
static boolean fill(j_decompress_ptr info) {
    context *c = info->client_data;
    c->ended = true;
    info->src->next_input_byte = end_marker;
    info->src->bytes_in_buffer = sizeof end_marker;
    return TRUE;
}

static void skip(j_decompress_ptr info, long count) {
    if (count <= 0) return;
    if ((size_t)count > info->src->bytes_in_buffer) {
        fill(info);
        return;
    }
    info->src->next_input_byte += count;
    info->src->bytes_in_buffer -= (size_t)count;
}

static void on_progress(j_common_ptr info) {
    context *c = info->client_data;
    j_decompress_ptr decoder = (j_decompress_ptr)info;
    if (decoder->input_scan_number > c->maximum_scans) fail(c, DUET_IMAGE_TOO_LARGE, "too many scans");
}

static void prepare(context *c, struct jpeg_decompress_struct *info, char *message) {
    memset(c, 0, sizeof *c);
    memset(info, 0, sizeof *info);
    c->message = message;
    c->maximum_scans = 1000;
    message[0] = 0;
    info->err = jpeg_std_error(&c->errors);
    info->client_data = c;
    c->errors.error_exit = on_error;
    c->errors.emit_message = on_message;
    c->errors.output_message = on_output;
}

static void open_source(context *c, struct jpeg_decompress_struct *info, const uint8_t *bytes, size_t count) {
    info->src = &c->source;
    c->source.next_input_byte = bytes;
    c->source.bytes_in_buffer = count;
    c->source.init_source = start_source;
    c->source.fill_input_buffer = fill;
    c->source.skip_input_data = skip;
    c->source.resync_to_restart = jpeg_resync_to_restart;
    c->source.term_source = start_source;
    info->progress = &c->progress;
    c->progress.progress_monitor = on_progress;
}

static void choose_colours(context *c, struct jpeg_decompress_struct *info) {
    switch (info->jpeg_color_space) {
    case JCS_GRAYSCALE: info->out_color_space = JCS_GRAYSCALE; break;
    case JCS_YCbCr:
    case JCS_RGB: info->out_color_space = JCS_RGB; break;
    case JCS_CMYK:
    case JCS_YCCK: info->out_color_space = JCS_CMYK; break;
    default: fail(c, DUET_IMAGE_UNSUPPORTED, "its components are neither grey, RGB, YCbCr nor CMYK");
    }
}

static void describe(struct jpeg_decompress_struct *info, duet_image_header *header) {
    *header = (duet_image_header){.width = info->image_width, .height = info->image_height};
    header->channels = info->out_color_space == JCS_GRAYSCALE ? 1 : info->out_color_space == JCS_RGB ? 3 : 4;
    header->ink = header->channels == 4;
    header->inverted = header->ink && info->saw_Adobe_marker;
    for (int i = 0; i < info->num_components; i++) {
        jpeg_component_info *component = &info->comp_info[i];
        header->work += (uint64_t)component->width_in_blocks * component->height_in_blocks;
    }
    // Coefficients of the whole picture, and rows of blocks in some copies.
    header->working_bytes = (uint64_t)info->image_width * 256;
    if (jpeg_has_multiple_scans(info)) header->working_bytes += header->work * DCTSIZE2 * sizeof(JCOEF);
    else header->work = 0;
}

duet_image_status duet_jpeg_header(const uint8_t *bytes, size_t count, duet_image_header *header, char *message) {
    context c;
    struct jpeg_decompress_struct info;
    prepare(&c, &info, message);
    if (setjmp(c.escape) == 0) {
        jpeg_create_decompress(&info);
        open_source(&c, &info, bytes, count);
        jpeg_read_header(&info, TRUE);
        choose_colours(&c, &info);
        describe(&info, header);
    }
    jpeg_destroy_decompress(&info);
    return c.status;
}

duet_image_status duet_jpeg_decode(const uint8_t *bytes, size_t count, int denominator, int maximum_scans,
                                   size_t maximum_memory, uint8_t *pixels, size_t capacity, char *message) {
    context c;
    struct jpeg_decompress_struct info;
    prepare(&c, &info, message);
    c.maximum_scans = maximum_scans;
    if (setjmp(c.escape) == 0) {
        jpeg_create_decompress(&info);
        info.mem->max_memory_to_use = (long)maximum_memory;
        open_source(&c, &info, bytes, count);
        jpeg_read_header(&info, TRUE);
        choose_colours(&c, &info);
        info.scale_num = 1;
        info.scale_denom = (unsigned)denominator;
        jpeg_start_decompress(&info);
        size_t row = (size_t)info.output_width * (size_t)info.output_components;
        if (row == 0 || capacity / row < info.output_height) fail(&c, DUET_IMAGE_CORRUPT, "its size changes");
        while (info.output_scanline < info.output_height) {
            JSAMPROW rows[1] = {pixels + row * info.output_scanline};
            jpeg_read_scanlines(&info, rows, 1);
        }
    }
    jpeg_destroy_decompress(&info);
    return c.status;
}
