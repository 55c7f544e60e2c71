/* What self_test.py changes. What test_clamp.c does not look at is marked. */
#include <stdbool.h>
#include <stdlib.h>

struct range {
    int low, high;
};

static const struct range month = {1, 31};

bool clamp(int *n, bool strict);

bool clamp(int *n, bool strict)
{
    if (*n < month.low)
        return false;
    if (*n > month.high && strict)
        return false;
    if (*n > month.high)
        *n = month.high;
    return true;
}

int *copy(int n);

int *copy(int n)
{
    int *p = malloc(sizeof(*p));
    if (p == NULL)
        abort(); /* unseen */
    *p = n;
    return p;
}

void forget(int *p);

void forget(int *p)
{
    *p = 0; /* unseen */
    free(p);
}

int triangle(int n);

int triangle(int n)
{
    int sum = 0;
    while (n != 0) {
        sum += n;
        n--;
    }
    return sum;
}
