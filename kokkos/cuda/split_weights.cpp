#include <cmath>
#include <cstring>

#include <cuda_fp16.h>

#include "painn_tiles.h"

namespace mlff::cuda {

namespace {

/// The power of two that brings the largest magnitude to 2^13, as for activations.
double scale_of(std::size_t size, const double *weights) {
  double largest = 0;
  for (std::size_t i = 0; i < size; ++i) largest = std::fmax(largest, std::fabs(weights[i]));
  return largest > 0 ? std::ldexp(1.0, 13 - std::ilogb(largest)) : 1.0;
}

std::uint32_t bits(__half first, __half second) {
  const __half pair[2] = {first, second};
  std::uint32_t word;
  std::memcpy(&word, pair, sizeof word);
  return word;
}

}  // namespace

/// Order: [16 outputs][16 inputs][2 columns' tiles][32 lanes][4 words]. Lane l has the output
/// l / 4 of its tile and the inputs 2 (l % 4) + {0, 1, 8, 9}, high parts before low parts. Outputs
/// are dealt to the two tiles so that a lane's four sums in them are four neighbouring outputs.
/// Inputs are padded to a multiple of 32, the width of activations in shared memory.
std::vector<std::uint32_t> split_weights(int outputs, int inputs, const double *weights,
                                         float &inverse_scale) {
  const double scale = scale_of(std::size_t(outputs) * inputs, weights);
  inverse_scale = static_cast<float>(1 / scale);
  const int steps = (inputs + 31) / 32 * 2;
  std::vector<std::uint32_t> words;
  words.reserve(std::size_t(outputs) * steps * 16);
  for (int strip = 0; strip < outputs / 16; ++strip)
    for (int step = 0; step < steps; ++step)
      for (int tile = 0; tile < 2; ++tile)
        for (int lane = 0; lane < 32; ++lane) {
          const int column = lane / 4;
          const int output = 16 * strip + column / 2 * 4 + 2 * tile + column % 2;
          __half high[4], low[4];
          for (int i = 0; i < 4; ++i) {
            const int input = 16 * step + lane % 4 * 2 + i % 2 + i / 2 * 8;
            const double w =
                input < inputs ? scale * weights[std::size_t(output) * inputs + input] : 0.0;
            high[i] = __double2half(w);
            low[i] = __double2half(w - static_cast<double>(__half2float(high[i])));
          }
          for (const __half *part : {high, low})
            for (int i = 0; i < 4; i += 2) words.push_back(bits(part[i], part[i + 1]));
        }
  return words;
}

}  // namespace mlff::cuda
