#!/bin/sh
# Pulls the model `small` once (92 MB), and asks it about photographs, a shop sign, a receipt, a chart and drawn scenes.
cd "$(dirname "$0")" || exit 1
minigemini pull small > /dev/null || exit 1
ask() {
    printf '%s\n  Q: %s\n  A: ' "$1" "$2"
    minigemini ask "$1" "$2" --model small || exit 1
}
ask photos/cat.jpg "What is this?"
ask photos/coffee.jpg "What is this?"
ask photos/macaw.jpg "What bird is this?"
ask photos/neuschwanstein.jpg "What kind of building is this?"
ask photos/shop_sign.png "What is the name of the shop?"
ask photos/receipt.png "How much is the lemonade?"
ask photos/chart.png "Who read the most books?"
ask things.png "What color is the cross?"
ask photos/cat.jpg "What is the name of the cat?"
