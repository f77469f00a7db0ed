#!/bin/busybox sh
# The whole system of the demo image: reads its seed, brings its interfaces up, serves a page, lets one log in.
export PATH=/bin
/bin/busybox mkdir -p /bin /proc /sys /dev /etc /root /tmp /run /disk /second /seed /www /var/log
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts
exec </dev/console >/dev/console 2>&1
while read -r module; do insmod "/modules/$module.ko" || echo "no module $module"; done </modules/order

# The disk that was booted from is the first one; in rescue the machine's own disk comes second.
mount -t vfat -o umask=077 /dev/vda1 /disk
[ -b /dev/vdb1 ] && mount -t vfat -o ro,umask=077 /dev/vdb1 /second
boots=$(($(cat /disk/boots 2>/dev/null || echo 0) + 1))
echo "$boots" >/disk/boots
sync

# NoCloud. Documents are JSON, a member a line.
seed=$(findfs LABEL=cidata 2>/dev/null) && mount -t vfat -o ro "$seed" /seed
member() { sed -n "s/^ *\"$1\": \"\(.*\)\",\{0,1\}$/\1/p" "$2" 2>/dev/null | head -n 1; }
name=$(member local-hostname /seed/meta-data)
instance=$(member instance-id /seed/meta-data)
hostname "${name:-onet}"
echo "127.0.0.1 localhost ${name:-onet}" >/etc/hosts
hash=$(member password /seed/vendor-data)
[ -n "$hash" ] || hash='*'
echo 'root:x:0:0:root:/root:/bin/sh' >/etc/passwd
echo 'root:x:0:' >/etc/group
(umask 077; printf 'root:%s:19000:0:99999:7:::\n' "$hash" >/etc/shadow)
mkdir -p -m 700 /root/.ssh
(umask 077; sed -n '/"public-keys": \[/,/\]/s/^ *"\(.*\)",\{0,1\}$/\1/p' /seed/meta-data >/root/.ssh/authorized_keys 2>/dev/null)
echo 'onet demo system, \n, on \l' >/etc/issue

# A page that does not change while the machine runs, and one that tells how it is now.
cat >/www/index.html <<PAGE
<!doctype html><meta charset="utf-8"><title>$name</title><h1>$name</h1>
<p>instance: $instance</p>
<p>boots: $boots</p>
<p>second disk: $(cat /second/boots 2>/dev/null || echo none)</p>
PAGE
mkdir -p /www/cgi-bin
cat >/www/cgi-bin/state <<'STATE'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
for path in /sys/class/net/eth*; do
    [ -e "$path" ] && echo "interface $(cat "$path/address") $(cat "$path/operstate")"
done
echo "processors $(nproc)"
echo "memory_kib $(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
echo "disk_sectors $(cat /sys/block/vda/size)"
echo "keys $(grep -c . /root/.ssh/authorized_keys)"
STATE
chmod 755 /www/cgi-bin/state
httpd -p 80 -h /www

# Interfaces, also those that are plugged in later: fixed addresses by the seed's network document, else DHCP.
cat >/bin/lease <<'LEASE'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
[ -n "$router" ] && ip route add default via "$router" dev "$interface" metric 100
exit 0
LEASE
chmod 755 /bin/lease
of_interface() { # MEMBER MAC
    awk -v member="\"$1\":" -v mac="$2" '
        /"mac_address":/ { mine = index($0, mac) > 0 }
        mine && index($0, member) { gsub(/[ ",]/, ""); sub(/^[^:]*:/, ""); print }
    ' /seed/network-config 2>/dev/null
}
ip link set lo up
plug() {
    mac=$(cat "/sys/class/net/$1/address")
    ip link set "$1" up
    if [ -n "$(of_interface address "$mac")" ]; then
        for address in $(of_interface address "$mac"); do ip address add "$address" dev "$1"; done
        for via in $(of_interface gateway "$mac"); do ip route add default via "$via" dev "$1"; done
    else
        udhcpc -q -n -t 5 -T 1 -i "$1" -s /bin/lease >/dev/null 2>&1 &
    fi
}
watch_interfaces() {
    while :; do
        for path in /sys/class/net/eth*; do
            nic=${path##*/}
            [ -e "$path" ] && [ $(($(cat "$path/flags") & 1)) = 0 ] && plug "$nic"
        done
        sleep 1
    done
}
watch_interfaces &

# The power button, pressed by the host.
mkdir -p /etc/acpi/PWRF
cat >/etc/acpi/PWRF/00000080 <<'OFF'
#!/bin/sh
echo "Power button: going down." >/dev/console
sync
umount /disk
poweroff -f
OFF
chmod 755 /etc/acpi/PWRF/00000080
acpid -f >/dev/null 2>&1 &

cat /sys/class/net/eth0/address 2>/dev/null
echo "${name:-onet} is up: instance ${instance:-none}, boot $boots"
login_on() { while :; do setsid getty -L "$1" 115200 vt100; sleep 1; done; }
login_on tty1 &
login_on ttyS0 &
# The first process never ends, and takes in whatever others leave behind.
while :; do wait; sleep 1; done
