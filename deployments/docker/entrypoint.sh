#!/bin/sh
# Puts the secrets that lie as files in /run/secrets into the environment, then becomes the command that was given.
# A file named prefect_api_auth_string becomes PREFECT_API_AUTH_STRING; of one named *.env each line NAME=VALUE is taken as
# it stands. What the environment has already, stays.
set -eu

take() { # name, value
    case $1 in '' | *[!A-Z0-9_]* | [0-9]*) return ;; esac
    printenv "$1" >/dev/null || export "$1=$2"
}

for file in "${SECRETS_FOLDER:-/run/secrets}"/*; do
    [ -f "$file" ] || continue
    case $file in
        *.env)
            while IFS= read -r line || [ -n "$line" ]; do
                case $line in *=*) take "${line%%=*}" "${line#*=}" ;; esac
            done <"$file"
            ;;
        *) take "$(basename "$file" | tr '[:lower:]' '[:upper:]')" "$(cat "$file")" ;;
    esac
done
exec "$@"
