# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
#
# Reads `object address type name` of nm -A, then what callgrind wrote; prints
# misses of the last level, by object, then by file and by function of the core.

# Callgrind writes a name once, behind a number, and then only the number.
function name(kind, text, number)
{
    number = text
    sub(/ .*/, "", number)
    if (text ~ / /) {
        sub(/^[^ ]* /, "", text)
        names[kind, number] = text
    }
    return names[kind, number]
}

function object_of(file, fn)
{
    sub(/.*\//, "", file)
    if (file == "core")
        return fn in core ? "core" : "bench"
    if (fn ~ /^_*pthread_/)
        return "pthread"
    sub(/[.]so.*/, "", file)
    return file
}

function add(key)
{
    code[key] += ilmr
    data[key] += dlm
}

function print_lines(what, key)
{
    printf "%-36s %7.1f (%.1f + %.1f)\n", what, (code[key] + data[key]) / rounds,
        code[key] / rounds, data[key] / rounds
}

# From the largest on.
function print_group(group, word, keys, n, i, best, key)
{
    for (key in group)
        keys[++n] = key
    for (; n > 0; n--) {
        best = 1
        for (i = 2; i <= n; i++)
            if (more(keys[i], keys[best]))
                best = i
        if (code[keys[best]] + data[keys[best]] > 0)
            print_lines(group[keys[best]], keys[best])
        keys[best] = keys[n]
    }
}

function more(a, b)
{
    return code[a] + data[a] > code[b] + data[b] || \
        (code[a] + data[a] == code[b] + data[b] && a < b)
}

FNR == NR {
    if ($3 ~ /^[tT]$/) {
        sub(/[.]o$/, "", $1)
        known = $4 in core && core[$4] != $1 ? core[$4] "," : ""
        core[$4] = known $1
    }
    next
}

/^events: / {
    for (i = 2; i <= NF; i++)
        column[$i] = i
}
/^ob=/ { ob = name("ob", substr($0, 4)) }
/^cob=/ { name("ob", substr($0, 5)) }
/^fn=/ { fn = name("fn", substr($0, 4)) }
/^cfn=/ { name("fn", substr($0, 5)) }
/^calls=/ { of_callee = 1; next }
/^[0-9+*-]/ {
    if (!of_callee) {
        ilmr = $column["ILmr"]
        dlm = $column["DLmr"] + $column["DLmw"]
        object = object_of(ob, fn)
        objects[object] = object
        add(object)
        add("all")
        if (object == "core") {
            files["file " core[fn]] = core[fn]
            add("file " core[fn])
            functions["core " fn] = core[fn] ": " fn
            add("core " fn)
        }
    }
    of_callee = 0
}

END {
    print_lines("all", "all")
    print_group(objects)
    if ("core" in objects) {
        print "-- the core by file"
        print_group(files)
        print "-- the core by function"
        print_group(functions)
    }
}
