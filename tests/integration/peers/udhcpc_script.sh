#!/bin/sh
# What udhcpc calls with what it was given: says it, and takes the address.
# shellcheck disable=SC2154 # it gives these in the environment
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
echo "bound ip=$ip mask=$mask router=$router lease=$lease"
