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

// Groups of activations whose largest magnitude is below are quantised to zero: 127 / amax must stay finite.
inline constexpr float kQuantFloor = 0x1p-100F;

}  // namespace millrace::kernels
