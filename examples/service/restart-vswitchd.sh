#!/bin/sh
# Starts the switch daemon anew, after an upgrade for example, and gives every bridge its groups, meters and flows back:
#     restart-vswitchd.sh [OPTION OF vswitchd...]
# Between the two, for about a second, nothing is forwarded. Controllers are not connected, and packets that no flow takes are not
# looked at, until all is back (other_config:flow-restore-wait). The sluice that is in the PATH is asked, or $SLUICE.
set -eu
: "${SLUICE_RUNDIR:?is the directory of the sockets and pid files}"
sluice=${SLUICE:-sluice}
saved=$(mktemp -d)

# A save that is not whole must stop this before the daemon is stopped.
for bridge in $($sluice vsctl list-br); do
  for what in groups meters flows; do
    $sluice ofctl --no-names --no-stats "dump-$what" "$bridge" > "$saved/$bridge.$what.reply"
    # As the commands that add them take them: without the reply's head, a meter and its bands on one line.
    sed '/^OFPST_/d; s/^ *//' "$saved/$bridge.$what.reply" |
      awk '/^type=/ { line = line " " $0; next } { if (line) print line; line = $0 } END { if (line) print line }' \
        > "$saved/$bridge.$what"
  done
done

trap '$sluice vsctl remove Open_vSwitch . other_config flow-restore-wait; echo "what there was is in $saved" >&2' EXIT
$sluice vsctl --no-wait set Open_vSwitch . other_config:flow-restore-wait=true
pid=$(cat "$SLUICE_RUNDIR/ovs-vswitchd.pid")
kill "$pid"
while [ -e "$SLUICE_RUNDIR/ovs-vswitchd.pid" ]; do sleep 0.1; done
$sluice vswitchd --detach --pidfile --log-file "$@"

for bridge in $($sluice vsctl list-br); do
  while read -r meter; do $sluice ofctl add-meter "$bridge" "$meter"; done < "$saved/$bridge.meters"
  $sluice ofctl add-groups "$bridge" "$saved/$bridge.groups"
  $sluice ofctl replace-flows "$bridge" "$saved/$bridge.flows"
done
trap - EXIT
$sluice vsctl remove Open_vSwitch . other_config flow-restore-wait
rm -r "$saved"
