#!/usr/bin/env bash
# Tries training on two machines with one: two network namespaces joined by a cable (veth), a torchrun in each.
# Needs root and iproute2. Each "machine" runs in a folder of its own, machine-a and machine-b in the present one.
#   sudo tools/two_machines.sh tools/train.py experiment=smoke/cali_sketch batch_size=2
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,4p' "$0" >&2; exit 2; }
script=$(realpath "$1")
shift
python=$(realpath -s "${PYTHON:-.venv/bin/python}")
mkdir -p machine-a machine-b

remove() { for name in a b; do ip netns del "cali-$name" 2>/dev/null || true; done; }
trap remove EXIT
remove
for name in a b; do ip netns add "cali-$name"; done
ip link add cable-a netns cali-a type veth peer name cable-b netns cali-b
for place in 1 2; do
    name=$([ "$place" = 1 ] && echo a || echo b)
    ip -n "cali-$name" address add "10.77.0.$place/24" dev "cable-$name"
    ip -n "cali-$name" link set lo up
    ip -n "cali-$name" link set "cable-$name" up
done

machine() { # name, address, whether the rendezvous is there, arguments
    local name=$1 address=$2 host=$3
    shift 3
    cd "machine-$name"
    GLOO_SOCKET_IFNAME="cable-$name" NCCL_SOCKET_IFNAME="cable-$name" ip netns exec "cali-$name" \
        "$python" -m torch.distributed.run --nnodes=2 --nproc-per-node="${PROCESSES:-1}" --rdzv-backend=c10d \
        --rdzv-id=cali --rdzv-endpoint=10.77.0.1:29500 --rdzv-conf="is_host=$host" --local-addr="$address" "$script" "$@"
}
(machine a 10.77.0.1 1 "$@") & first=$!
(machine b 10.77.0.2 0 "$@") & second=$!
status=0
wait "$first" || status=$?
wait "$second" || status=$?
exit "$status"
