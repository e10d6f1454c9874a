"""Compiled: the normalised Black price and its inverse, the total volatility s = v·√T.

Everything is reduced to one out-of-the-money option: x = -|ln(F/K)| <= 0 and beta = undiscounted price / √(F K). With
z = |x| / s, t = s / 2, Mills' ratio R and E = e^(-(z² + t²)/2) / √(2π):

    beta(s) = E·D,  D = R(z - t) - R(z + t);   dbeta/ds = E;   e^(x/2) - beta = E·C,  C = R(t - z) + R(z + t)

`gap` gives D without cancellation. The inverse is Jäckel's: the volatility axis is cut at the inflection s_c = √(2|x|) and at the
two points where the tangent there meets 0 and the upper bound; each of the four parts has a guess by rational cubic
interpolation and an objective that is nearly straight; two steps of Householder's method of order four end at the accuracy of
the price itself. Written in D and C, a step in the outer parts needs logarithms only, so prices down to 1e-300 have a volatility.

Floor 1: numba. Import it lazily.

Source: P. Jäckel, Let's Be Rational (2013-2016), sections 2-6; R. Delbourgo, J. A. Gregory, Shape preserving piecewise rational
interpolation (1985). The evaluation through Mills' ratio is ours.
"""

from __future__ import annotations

import math

from numba import njit

from workbench.options.kernel_normal import INV_ROOT_2PI, LOG_ROOT_2PI, ROOT_2PI, ROOT_HALF_PI, density, inverse, inverse_of_log, mills

ROOT_3 = math.sqrt(3.0)
LOWER = 2 * math.pi / math.sqrt(27.0)
ODD_3, ODD_5, ODD_7, ODD_9, ODD_11 = (1 / math.factorial(n) for n in (3, 5, 7, 9, 11))
AT_MONEY = 1e-30  # |x| below this is no distance at all
LEAST_R = -(1 - math.sqrt(2.220446049250313e-16))
MOST_R = 1e300


@njit(cache=True, nogil=True, error_model="numpy")
def gap(z, t):
    """Return D = R(z - t) - R(z + t), z >= 0, t > 0."""
    if z - t > 10.0:  # R(z) = 1/z - 1/z³ + 3/z⁵ - …; differences of powers of p = 1/(z - t), q = 1/(z + t) by recurrence
        p, q = 1.0 / (z - t), 1.0 / (z + t)
        total, product = p * p + q * q, p * p * q * q
        before, now = -2.0 * t, 2.0 * t * p * q  # p^m - q^m for m = -1 and m = 1, without subtracting
        out, factor = now, 1.0
        for k in range(1, 17):
            before, now = now, total * now - product * before
            factor *= 1 - 2 * k
            out += factor * now
        return out
    if t < 0.1:  # Taylor in t: the derivatives of y(h) = R(-h) obey y⁽ⁿ⁺¹⁾ = h y⁽ⁿ⁾ + n y⁽ⁿ⁻¹⁾
        h, w = -z, t * t
        y0 = mills(z)
        y1 = 1.0 + h * y0
        y2 = h * y1 + y0
        y3 = h * y2 + 2.0 * y1
        y4 = h * y3 + 3.0 * y2
        y5 = h * y4 + 4.0 * y3
        y6 = h * y5 + 5.0 * y4
        y7 = h * y6 + 6.0 * y5
        y8 = h * y7 + 7.0 * y6
        y9 = h * y8 + 8.0 * y7
        y11 = h * (h * y9 + 9.0 * y8) + 10.0 * y9
        out = y1 + w * (y3 * ODD_3 + w * (y5 * ODD_5 + w * (y7 * ODD_7 + w * (y9 * ODD_9 + w * y11 * ODD_11))))
        return 2.0 * t * out
    return mills(z - t) - mills(z + t)


@njit(cache=True, nogil=True, error_model="numpy")
def height(z, t):
    """Return E, the slope of the price in s."""
    return INV_ROOT_2PI * math.exp(-0.5 * (z * z + t * t))


@njit(cache=True, nogil=True, error_model="numpy")
def black(x, s):
    """Return the normalised price beta of an out-of-the-money option, x <= 0, s > 0."""
    z, t = -x / s, 0.5 * s
    if z - t < -0.85:  # the upper bound less what is missing to it
        return math.exp(0.5 * x) - height(z, t) * (mills(t - z) + mills(z + t))
    return height(z, t) * gap(z, t)


@njit(cache=True, nogil=True, error_model="numpy")
def cubic(x, x_l, x_r, y_l, y_r, d_l, d_r, r):
    """Return the rational cubic through both ends with their slopes and control parameter r."""
    h = x_r - x_l
    t = (x - x_l) / h
    if r > 1e299:  # a straight line
        return y_r * t + y_l * (1.0 - t)
    o = 1.0 - t
    top = y_r * t * t * t + (r * y_r - h * d_r) * t * t * o + (r * y_l + h * d_l) * t * o * o + y_l * o * o * o
    return top / (1.0 + (r - 3.0) * t * o)


@njit(cache=True, nogil=True, error_model="numpy")
def least_control(d_l, d_r, slope, keeps_shape):
    """Return the smallest r that keeps the curve monotonic, and convex or concave where its ends are."""
    is_monotonic = d_l * slope >= 0 and d_r * slope >= 0
    is_bent = (d_l <= slope <= d_r) or (d_l >= slope >= d_r)
    if not is_monotonic and not is_bent:
        return LEAST_R
    best = LEAST_R
    if is_monotonic:
        if slope != 0:
            best = max(best, (d_r + d_l) / slope)
        elif keeps_shape:
            best = MOST_R
    if is_bent:
        left, right = slope - d_l, d_r - slope
        if left != 0 and right != 0:
            best = max(best, abs((d_r - d_l) / right), abs((d_r - d_l) / left))
        elif keeps_shape:
            best = MOST_R
    elif is_monotonic and keeps_shape:
        best = MOST_R
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def control(x_l, x_r, y_l, y_r, d_l, d_r, second, is_left, keeps_shape):
    """Return the r whose curve has the second derivative asked for at its left or right end, as far as shape allows."""
    h = x_r - x_l
    slope = (y_r - y_l) / h
    top = 0.5 * h * second + (d_r - d_l)
    low = slope - d_l if is_left else d_r - slope
    r = 0.0 if top == 0 else (top / low if low != 0 else math.copysign(MOST_R, top))
    return max(r, least_control(d_l, d_r, slope, keeps_shape))


@njit(cache=True, nogil=True, error_model="numpy")
def householder(newton, halley, third):
    """Return the step of order four from Newton's."""
    return newton * (1.0 + 0.5 * halley * newton) / (1.0 + newton * (halley + third * newton / 6.0))


@njit(cache=True, nogil=True, error_model="numpy")
def step_low(x, s, log_beta):
    """Return the step towards 1/ln b(s) = 1/ln beta, for prices in the far wing."""
    z, t = -x / s, 0.5 * s
    d = gap(z, t)
    log_b = -0.5 * (z * z + t * t) - LOG_ROOT_2PI + math.log(d)
    ratio = 1.0 / d  # b' / b
    newton = (log_beta - log_b) * log_b / log_beta * d
    bend = z * z / s - 0.25 * s
    more = 1.0 + 2.0 / log_b
    third = bend * bend - 3.0 * (z / s) * (z / s) - 0.25
    halley = bend - ratio * more
    third += 2.0 * ratio * ratio * (1.0 + 3.0 / log_b * (1.0 + 1.0 / log_b)) - 3.0 * bend * ratio * more
    return householder(newton, halley, third)


@njit(cache=True, nogil=True, error_model="numpy")
def step_middle(x, s, beta):
    """Return the step towards b(s) = beta, where the price is nearly straight in s."""
    z, t = -x / s, 0.5 * s
    newton = beta / height(z, t) - gap(z, t)
    bend = z * z / s - 0.25 * s
    return householder(newton, bend, bend * bend - 3.0 * (z / s) * (z / s) - 0.25)


@njit(cache=True, nogil=True, error_model="numpy")
def step_high(x, s, log_missing):
    """Return the step towards ln(bound - b(s)) = ln(bound - beta), for prices near their upper bound."""
    z, t = -x / s, 0.5 * s
    c = mills(t - z) + mills(z + t)
    slope = 1.0 / c
    newton = c * (-0.5 * (z * z + t * t) - LOG_ROOT_2PI + math.log(c) - log_missing)
    bend = z * z / s - 0.25 * s
    third = bend * bend - 3.0 * (z / s) * (z / s) - 0.25 + slope * (2.0 * slope + 3.0 * bend)
    return householder(newton, bend + slope, third)


@njit(cache=True, nogil=True, error_model="numpy")
def guess_low(x, beta, s_l, b_l):
    """Return a first s for beta < b_l, from the map of beta to (2π/√27)·|x|·N(-|x|/(√3 s))³, which is nearly straight."""
    far = -x
    z = far / (ROOT_3 * s_l)
    y, s2, dense = z * z, s_l * s_l, density(z)
    tail = dense * mills(z)
    stretch = math.exp(y + 0.125 * s2)
    curve = 8.0 * ROOT_3 * s_l * far + (3.0 * s2 * (s2 - 8.0) - 8.0 * far * far) * tail / dense
    second = math.pi / 6.0 * y / (s2 * s_l) * tail * curve * stretch * stretch
    first = 2.0 * math.pi * y * tail * tail * stretch
    f_l = LOWER * far * tail * tail * tail
    r = control(0.0, b_l, 0.0, f_l, 1.0, first, second, False, True)
    f = cubic(beta, 0.0, b_l, 0.0, f_l, 1.0, first, r)
    if not f > 0.0:
        share = beta / b_l
        f = (f_l * share + b_l * (1.0 - share)) * share
    return far / (ROOT_3 * -inverse_of_log(math.log(max(f / (LOWER * far), 5e-324)) * (1.0 / 3.0)))


@njit(cache=True, nogil=True, error_model="numpy")
def guess_high(x, beta, bound, s_u, b_u):
    """Return a first s for beta > b_u, from the map of beta to N(-s/2)."""
    w = (x / s_u) * (x / s_u)
    f_u = density(0.5 * s_u) * mills(0.5 * s_u)
    first = -0.5 * math.exp(0.5 * w)
    second = ROOT_HALF_PI * math.exp(w + 0.125 * s_u * s_u) * w / s_u
    f = -1.0
    if b_u < bound:
        r = control(b_u, bound, f_u, 0.0, first, -0.5, second, True, True)
        f = cubic(beta, b_u, bound, f_u, 0.0, first, -0.5, r)
    if not f > 0.0:
        share = (beta - b_u) / (bound - b_u)
        f = (f_u * (1.0 - share) + 0.5 * (bound - b_u) * share) * (1.0 - share)
    return -2.0 * inverse(max(f, 1e-300))


@njit(cache=True, nogil=True, error_model="numpy")
def at_money(beta):
    """Return s where the forward stands at the strike: beta = 1 - 2 N(-s/2)."""
    if beta > 0.5:
        s = -2.0 * inverse(0.5 * (1.0 - beta))
        missing = math.log(1.0 - beta)
        s += step_high(0.0, s, missing)
        return s + step_high(0.0, s, missing)
    s = ROOT_2PI * beta if beta < 0.01 else 2.0 * inverse(0.5 + 0.5 * beta)
    s += step_middle(0.0, s, beta)
    return s + step_middle(0.0, s, beta)


@njit(cache=True, nogil=True, error_model="numpy")
def total_vol(x, beta):
    """Return s with b(x, s) = beta; needs x <= 0 and 0 < beta < e^(x/2), which the caller has seen to."""
    if -x < AT_MONEY:
        return at_money(beta)
    bound = math.exp(0.5 * x)
    s_c = math.sqrt(-2.0 * x)
    d_c, v_c = gap(0.5 * s_c, 0.5 * s_c), height(0.5 * s_c, 0.5 * s_c)
    b_c = v_c * d_c
    if beta < b_c:
        # the tangent at s_c meets 0 at s_c - D; for a small s_c by its series, which does not cancel
        s_l = s_c * s_c * (0.5 * ROOT_HALF_PI - s_c / 3.0) if s_c < 1e-3 else s_c - d_c
        z, t = -x / s_l, 0.5 * s_l
        v_l = height(z, t)
        b_l = v_l * gap(z, t)
        if beta < b_l:
            log_beta = math.log(beta)
            s = guess_low(x, beta, s_l, b_l)
            s += step_low(x, s, log_beta)
            return s + step_low(x, s, log_beta)
        r = control(b_l, b_c, s_l, s_c, 1.0 / v_l, 1.0 / v_c, 0.0, False, False)
        s = cubic(beta, b_l, b_c, s_l, s_c, 1.0 / v_l, 1.0 / v_c, r)
    else:
        s_u = s_c + (bound - b_c) / v_c
        z, t = -x / s_u, 0.5 * s_u
        v_u = height(z, t)
        b_u = bound - v_u * (mills(t - z) + mills(z + t))
        if beta <= b_u:
            r = control(b_c, b_u, s_c, s_u, 1.0 / v_c, 1.0 / v_u, 0.0, True, False)
            s = cubic(beta, b_c, b_u, s_c, s_u, 1.0 / v_c, 1.0 / v_u, r)
        else:
            s = guess_high(x, beta, bound, s_u, b_u)
            if beta > 0.5 * bound:
                missing = math.log(bound - beta)
                s += step_high(x, s, missing)
                return s + step_high(x, s, missing)
    s += step_middle(x, s, beta)
    return s + step_middle(x, s, beta)
