// CpuBackend::RunProduct, for the files that implement its ops.
#pragma once

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/strips.h"

namespace millrace::backend_cpu {

// finish(segment, strips) is called by the thread that has just computed these strips of all rows.
template <typename Fn>
void CpuBackend::RunProduct(const char* name, const Product& product, Fn&& finish) {
  PrepareShared(product.source, product.norm, product.weight);
  const size_t strips = TotalStrips(product.weight);
  const kernels::SectionSize size = PiecesOf(strips, StripBytes(product.weight), product.source.rows, product.unit_strips);
  pool_.Run(name, size, [&](kernels::SectionContext& context) {
    ForStrips(product.weight, StripsOf(context.range(), strips, product.unit_strips),
              [](const WeightSegment& segment, kernels::IndexRange part) { PrefetchStart(segment, part.begin); });
    const ReadyRows rows = Prepare(context.thread(), product.source, product.norm, product.weight);
    do {
      ForStrips(product.weight, StripsOf(context.range(), strips, product.unit_strips),
                [&](const WeightSegment& segment, kernels::IndexRange part) {
                  kernels::OutputRows out = product.out;
                  out.data += segment.row_offset;
                  Multiply(segment.matrix, part, rows, out);
                  finish(segment, part);
                });
    } while (context.Next());
  });
}

}  // namespace millrace::backend_cpu
