// Embeddings of a normalized square as llama.cpp's multimodal library computes them, for comparison.
//
//   LLAMA=llama.cpp's folder; BUILD=its build
//   clang++ -std=c++17 -O1 -I$LLAMA/tools/mtmd -I$LLAMA/ggml/include -I$LLAMA/include \
//     tools/reference/mtmd_peer.cpp -L$BUILD/bin -lmtmd -lggml -lggml-base -Wl,-rpath,$BUILD/bin -o mtmd_peer
//   mtmd_peer MMPROJ SIDE VALUES OUTPUT
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "clip.h"
#include "clip-impl.h"

int main(int count, char **arguments) {
    if (count != 5) return 2;
    int side = atoi(arguments[2]);
    std::vector<float> values((size_t)side * side * 3), out;
    FILE *in = fopen(arguments[3], "rb");
    if (!in || fread(values.data(), 4, values.size(), in) != values.size()) return 1;
    fclose(in);
    clip_context_params parameters = {};
    parameters.flash_attn_type = CLIP_FLASH_ATTN_TYPE_DISABLED;
    clip_ctx *context = clip_init(arguments[1], parameters).ctx_v;
    if (!context) return 1;
    clip_image_f32 image;
    image.set_size({side, side}, false, false);
    image.cpy_buf(values);
    out.resize((size_t)clip_n_output_tokens(context, &image) * clip_n_mmproj_embd(context));
    if (!clip_image_encode(context, 2, &image, out)) return 1;
    FILE *file = fopen(arguments[4], "wb");
    if (!file || fwrite(out.data(), 4, out.size(), file) != out.size()) return 1;
    fclose(file);
    printf("%d embeddings of %d\n", clip_n_output_tokens(context, &image), clip_n_mmproj_embd(context));
    clip_free(context);
}
