#!/bin/sh
# Asks the embedded model about the pictures in this folder.
cd "$(dirname "$0")" || exit 1
ask() {
    printf '%s\n  Q: %s\n  A: ' "$1" "$2"
    minigemini ask "$1" "$2"
}
ask sign.png "What does the sign say?"
ask house.png "What is this?"
ask house.png "What colour is the house?"
ask stars.png "How many stars are there?"
ask things.png "Describe the picture."
