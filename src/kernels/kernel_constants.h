// The polynomial behind every exp of the kernels (after Cephes' expf): relative error below 2e-7 on [kExpLow, kExpHigh].
//
//   c = min(max(x, kExpLow), kExpHigh)
//   n = round to nearest even (c * log2 e), by adding and subtracting kExpRound: fma(c, kExpLog2E, kExpRound) - kExpRound
//   r = fma(n, -kExpLn2High, c); r = fma(n, -kExpLn2Low, r)
//   p = Horner in r over kExpPolynomial, each step fma(p, r, next)
//   exp(x) = fma(p, r * r, r) + 1, its exponent raised by n; 0 where x < kExpLow
#pragma once

namespace millrace::kernels {

inline constexpr float kExpLow = -87.0F;  // results below are taken as 0: e^-87 is still a normal number
inline constexpr float kExpHigh = 88.0F;
inline constexpr float kExpLog2E = 1.44269504F;
inline constexpr float kExpRound = 12582912.0F;  // 1.5 * 2^23
inline constexpr float kExpLn2High = 0.693359375F;
inline constexpr float kExpLn2Low = -2.12194440e-4F;
inline constexpr float kExpPolynomial[6] = {1.9875691500e-4F, 1.3981999507e-3F, 8.3334519073e-3F,
                                            4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F};

// tanh by way of e = exp(2 |x|) - 1, so that nothing cancels near 0: relative error below 5e-7 everywhere.
//
//   c = min(2 |x|, kTanhHigh); n, r and p as above
//   e = fma(fma(p, r * r, r), 2^n, 2^n - 1)
//   tanh(x) = e / (e + 2), with the sign of x
// A softcap is cap * tanh(x / cap).
inline constexpr float kTanhHigh = 40.0F;  // e^40 + 2 is e^40: the result is 1 from far below on

// gelu in its tanh form, 0.5 x (1 + tanh u) with u = sqrt(2 / pi) (x + 0.044715 x^3), is x / (1 + exp(-2 u)), without cancellation:
//   -2 u = fma(x * x, kGeluCubic, kGeluLinear) * x
inline constexpr float kGeluLinear = -1.5957691216057308F;   // -2 sqrt(2 / pi)
inline constexpr float kGeluCubic = -0.071354816272600249F;  // 0.044715 times that

// Groups of activations whose largest magnitude is below are quantised to zero: 127 / amax must stay finite.
inline constexpr float kQuantFloor = 0x1p-100F;

}  // namespace millrace::kernels
