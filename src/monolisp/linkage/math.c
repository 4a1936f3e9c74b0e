/* hypot, and what sin and cos are made of, rounded as well as glibc rounds them: musl's are off by one in the last place
   three times (hypot: thirteen times) in a hundred, and programs are tested with glibc's numbers.

   Products are kept exactly, as a sum of two doubles (Dekker 1971, with Veltkamp's split); hypot corrects the square
   root by what its square lacks (Borges 2019, "An improved algorithm for hypot"). musl's sin and cos call __sin and
   __cos with an argument x + y in [-pi/4, pi/4], y being what x lacks; the series are Taylor's. */

#include <math.h>

#pragma STDC FP_CONTRACT OFF

/* What the rounded product p lacks of a * b. */
static inline double lacking(double a, double b, double p)
{
    double c = 134217729.0 * a, d = 134217729.0 * b;
    double high = c - (c - a), low = a - high;
    double upper = d - (d - b), lower = b - upper;
    return (high * upper - p) + (high * lower + low * upper) + low * lower;
}

double hypot(double x, double y)
{
    x = fabs(x), y = fabs(y);
    if (isinf(x) || isinf(y))
        return INFINITY;
    if (isnan(x) || isnan(y)) /* before any comparison, which SBCL would trap */
        return x + y;
    if (x < y) {
        double greater = y;
        y = x, x = greater;
    }
    if (y <= x * 0x1p-54) /* nothing to add */
        return x + y;
    double scale = x > 0x1p500 ? 0x1p-600 : y < 0x1p-450 ? 0x1p600 : 1;
    x *= scale, y *= scale;
    double xx = x * x, yy = y * y, h = sqrt(xx + yy), hh = h * h;
    double lack = ((xx - hh) + yy) + ((lacking(x, x, xx) + lacking(y, y, yy)) - lacking(h, h, hh));
    return (h + lack / (2 * h)) / scale;
}

__attribute__((visibility("hidden"))) double __sin(double x, double y, int has_y)
{
    const double sixth = 0x1.5555555555555p-3, sixth_low = 0x1.5555555555555p-57;
    double z = x * x, zz = z * z, c = x * z, r = c * sixth;
    double c_low = lacking(x, z, c) + x * lacking(x, x, z);
    double r_low = lacking(c, sixth, r) + c * sixth_low + c_low * sixth;
    double even = 1.0 / 120 + zz * (1.0 / 362880 + zz * (1.0 / 6227020800 + zz * (1.0 / 355687428096000)));
    double odd = 1.0 / 5040 + zz * (1.0 / 39916800 + zz * (1.0 / 1307674368000));
    double w = x - r;
    double rest = c * z * (even - z * odd) - r_low + (has_y ? y * (1 - z * (0.5 - z / 24)) : 0);
    return w + (((x - w) - r) + rest);
}

__attribute__((visibility("hidden"))) double __cos(double x, double y)
{
    double z = x * x, zz = z * z, half = 0.5 * z, w = 1 - half;
    double even = 1.0 / 24 + zz * (1.0 / 40320 + zz * (1.0 / 479001600 + zz * (1.0 / 20922789888000)));
    double odd = 1.0 / 720 + zz * (1.0 / 3628800 + zz * (1.0 / 87178291200 + zz * (1.0 / 6402373705728000)));
    return w + (((1 - w) - half) + (zz * (even - z * odd) - 0.5 * lacking(x, x, z) - x * y));
}
