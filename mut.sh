# usage: mut.sh FILE SED...
cd /tmp/h_fuzz
mut() { f=c_src/core/$1; cp $f /tmp/h_fuzz_orig; sed -i "$2" $f; if cmp -s $f /tmp/h_fuzz_orig; then echo "NO CHANGE: $2"; return; fi
 (cd test/fuzz; nice make -s ../../_build/fuzz/fuzz_operations 2>&1 | grep -E ' error' )
 r=$(_build/fuzz/fuzz_operations test/fuzz/corpus/operations -runs=0 2>&1 | grep -E "not so|rror|Done" | head -1); echo "$1 $2 => $r"; cp /tmp/h_fuzz_orig $f; }
mut endpoints.c 's/!(waits \&\& t->ready.n > 0)/!waits/'
mut settle.c 's/{{t->asked.at, t->r.asked_cut.user_n}, c->host, t->shown}/{{0, 0}, c->host, t->shown}/'
mut forward.c 's/jat_node_key(j, jat_str(r->asked.p, r->asked_cut.user_n))/0/'
