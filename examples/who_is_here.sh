#!/usr/bin/env bash
# A site of two nodes on this machine, from nothing: found it, admit one, run both, and read in a script who is there.
#
#     bash examples/who_is_here.sh
#
# On two machines leave out --port and --join-port: everybody then uses 8883, and the steward 8884 for joiners.
set -euo pipefail

plant=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$plant"' EXIT
port=$((20000 + RANDOM % 10000))

within_30_s() {  # COMMAND...: again and again until it succeeds
    local end=$((SECONDS + 30))
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.5
    done
}

echo "press-1 founds the site lyon"
fieldmesh site init --home "$plant/press-1" --site lyon --name press-1 \
    --port $port --join-port $((port + 1)) >/dev/null
fieldmesh run --home "$plant/press-1" 2>/dev/null &
within_30_s fieldmesh status --home "$plant/press-1" >/dev/null 2>&1

echo "press-2 joins it with a token"
fieldmesh token create --home "$plant/press-1" --ttl 1m 2>/dev/null |
    fieldmesh join - --home "$plant/press-2" --name press-2 --port $((port + 2)) >/dev/null
fieldmesh run --home "$plant/press-2" 2>/dev/null &

# Every command takes --json and prints one object. This is all that a script, a cron job or a panel needs:
everybody_is_alive() {
    fieldmesh peers --home "$plant/press-1" --json | python3 -c '
import json, sys
peers = json.load(sys.stdin)["peers"]
for peer in peers:
    rtt = "" if peer["rtt_ms"] is None else "%.1f ms" % peer["rtt_ms"]
    print("  press-1 sees", peer["name"], peer["state"], peer["path"], rtt)
sys.exit(any(peer["state"] != "alive" for peer in peers))'
}
within_30_s everybody_is_alive
echo "everybody is alive"
