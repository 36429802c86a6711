#!/bin/sh
# Makes the work pools cpu and gpu with their queues, then registers every deployment of prefect.yaml with the Prefect
# server that PREFECT_API_URL names. Run it in the folder of prefect.yaml, as often as you like.
#   deployments/register.sh TYPE        TYPE is kubernetes, docker or process
# IMAGE_CPU and IMAGE_GPU name the images that the flow runs of the two pools use.
set -eu
type=${1:?name the type of the pools: kubernetes, docker or process}
here=$(dirname "$0")

make_pool() { # name, image
    if [ "$type" = process ]; then
        prefect --no-prompt work-pool create "$1" --type process --overwrite
    else
        template=$here/job-templates/$type-$1.json
        [ -f "$template" ] || template=$here/job-templates/$type.json
        filled=$(mktemp)
        sed 's|"default": "diarynotes:[a-z]*"|"default": "'"$2"'"|' "$template" >"$filled"
        prefect --no-prompt work-pool create "$1" --type "$type" --base-job-template "$filled" --overwrite
        rm "$filled"
    fi
    # Prefect takes the rest over and says nothing, but never changes the type of a pool.
    prefect work-pool inspect "$1" --output json | grep -q "\"type\": \"$type\"" || {
        echo "The pool $1 is of another type than $type. Delete it first: prefect work-pool delete $1" >&2
        exit 1
    }
}

make_queue() { # name, pool, priority; `prefect deploy` would make it, too, but at the lowest priority
    prefect work-queue inspect "$1" --pool "$2" >/dev/null 2>&1 ||
        prefect work-queue create "$1" --pool "$2" --priority "$3"
}

make_pool cpu "${IMAGE_CPU:-diarynotes:cpu}"
make_pool gpu "${IMAGE_GPU:-diarynotes:gpu}"
for pool in cpu gpu; do
    make_queue urgent "$pool" 1
    make_queue normal "$pool" 2
    make_queue low "$pool" 3
done
prefect --no-prompt deploy --all
