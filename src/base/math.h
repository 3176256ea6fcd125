// Elementary functions in double precision whose bits depend on nothing but their argument: the C library picks its own by CPU.
// For tables and for choices that must be the same everywhere (rope angles, sampling); not for inner loops.
//
// Only +, -, *, / and comparisons of doubles are used. Errors are a few units in the last place.
#pragma once

namespace millrace {

double Exp(double x);  // +infinity above 709.78, 0 below -708.39 (no subnormal results)
double Log(double x);  // x > 0 and normal; -infinity for 0, NaN for negative numbers
double Sin(double x);  // |x| <= 2^30
double Cos(double x);

}  // namespace millrace
