#!/bin/sh
# Asks the embedded model about the images in this folder: synthetic scenes that its training never showed.
cd "$(dirname "$0")" || exit 1
ask() {
    printf '%s\n  Q: %s\n  A: ' "$1" "$2"
    minigemini ask "$1" "$2" || exit 1
}
ask sign.png "What does the sign say?"
ask sign.png "What is the orange thing?"
ask diamond.png "What is this?"
ask things.png "What colour is the cross?"
ask hearts.png "Is there a hat?"
