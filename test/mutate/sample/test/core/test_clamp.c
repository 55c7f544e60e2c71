#include <stdbool.h>

bool clamp(int *n, bool strict);
int *copy(int n);
void forget(int *p);
int triangle(int n);

static bool is(int n, bool strict, bool ok, int clamped)
{
    return clamp(&n, strict) == ok && n == clamped;
}

int main(void)
{
    int *p = copy(7);
    bool ok = is(0, false, false, 0) && is(1, true, true, 1) &&
              is(31, true, true, 31) && is(32, true, false, 32) &&
              is(33, false, true, 31) && *p == 7 && triangle(4) == 10;
    forget(p);
    return ok ? 0 : 1;
}
