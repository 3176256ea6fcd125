#include "weights/tensor_view.h"

#include "base/check.h"

namespace millrace::weights {

TensorView SliceRows(const TensorView& tensor, uint64_t begin, uint64_t count) {
  CHECK(begin <= tensor.rows && count <= tensor.rows - begin, "a slice lies inside its tensor");
  TensorView slice = tensor;
  slice.rank = 2;
  slice.dims = {tensor.cols, count, 1, 1};
  slice.rows = count;
  slice.data = tensor.data.subspan(begin * tensor.row_bytes(), count * tensor.row_bytes());
  if (IsAffine(tensor.dtype)) {
    const uint64_t group_bytes = tensor.affine.scales.size() / tensor.rows;
    slice.affine.scales = tensor.affine.scales.subspan(begin * group_bytes, count * group_bytes);
    slice.affine.biases = tensor.affine.biases.subspan(begin * group_bytes, count * group_bytes);
  }
  return slice;
}

}  // namespace millrace::weights
