cd /tmp/h_fuzz && nice test/soak/soak minutes=$1 carrier=$2 rate=$3 > /tmp/h_fuzz_soak_$2.log 2>&1
