#!/usr/bin/env bash
# Finds words and phrases of scripts/private-words.txt in the prose of Markdown files, with codespell: words that
# only the people of this project understand, and what PostgreSQL's manual says instead.
#
#   scripts/prose.sh FILE...      FILE:LINE: word ==> what to say instead; LINE is where the paragraph begins
set -euo pipefail
cd "$(dirname "$0")/.."

words=$PWD/scripts/private-words.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# codespell looks words up, and takes a phrase for a word where its regular expression says so.
phrases=$(sed -nE 's/^([^>]* [^>]*)->.*/\1/p' "$words" | paste -sd '|')
perl scripts/prose.pl "$work" "$@"
status=0
codespell --dictionary "$words" --regex "(?i)\\b(?:$phrases)(?![\\w-])|[\\w'-]+" "${@/#/$work/}" >"$work/found" || status=1
sed "s:^$work/::" "$work/found"
exit "$status"
