#!/bin/sh
# Puts the secrets that lie as files in /run/secrets into the environment, then becomes the command that was given.
# A file named prefect_api_auth_string becomes PREFECT_API_AUTH_STRING; what the environment has already, stays.
set -eu
for file in "${SECRETS_FOLDER:-/run/secrets}"/*; do
    [ -f "$file" ] || continue
    name=$(basename "$file" | tr '[:lower:]' '[:upper:]')
    case $name in *[!A-Z0-9_]* | [0-9]*) continue ;; esac
    if ! printenv "$name" >/dev/null; then
        value=$(cat "$file")
        export "$name=$value"
    fi
done
exec "$@"
