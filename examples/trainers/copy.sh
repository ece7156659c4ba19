#!/bin/sh
# A trainer in a shell: it takes its first dataset for a model that was made elsewhere.
#
#   HOTSWAP_TRAINER_COMMANDS="copy=sh examples/trainers/copy.sh" hotswap-stream trainers
set -eu
read -r order
field() { printf '%s' "$order" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
echo '{"type": "progress", "step": 0, "steps": 1}'
cp "$(field path)" "$(field folder)/artifact.safetensors"
echo '{"type": "finished"}'
