// CUDA's streams, for sources that do not include CUDA.
#pragma once

struct CUstream_st;

namespace mlff::cuda {

using Stream = CUstream_st *;

}  // namespace mlff::cuda
