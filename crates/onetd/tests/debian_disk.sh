#!/usr/bin/env bash
# Makes a raw disk with a Debian system as clouds have it: cloud-init, OpenSSH, netplan, a root file system that grows.
#
#   debian_disk.sh DISK
#
# The packages come from where this machine's own apt gets its. Nothing is mounted and nothing is installed here; without
# root it works as far as the system allows namespaces of users.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

disk=$1
. /etc/os-release
if [[ $ID != debian ]]; then
    echo "This takes a Debian system's own packages, and this system is $ID." >&2
    exit 1
fi
work=$(mktemp --directory "$disk.XXXXXX")
trap 'rm -rf "$work"' EXIT

# What makes a cloud's machine out of a minimal Debian. As in Debian's own images, cloud-init tells netplan what the network
# is like, and systemd sets it up.
packages=(
    linux-image-cloud-amd64 initramfs-tools zstd systemd-sysv dbus systemd-resolved netplan.io iproute2
    cloud-init cloud-guest-utils e2fsprogs fdisk openssh-server sudo
)

# Sources and options of this machine's apt, such as its proxy.
sources=()
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
    if [[ -s $file ]]; then sources+=("$file"); fi
done
apt-config dump Acquire | sed -n '/^Acquire::[^ ]* ".\+";$/p' >"$work/apt.conf"

mmdebstrap --variant=minbase --format=tar --quiet \
    --aptopt="$work/apt.conf" \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include="$(IFS=,; echo "${packages[*]}")" \
    --customize-hook='echo "LABEL=onet-root / ext4 errors=remount-ro 0 1" >"$1/etc/fstab"' \
    --customize-hook='rm -f "$1/etc/hostname" "$1/etc/ssh/"ssh_host_*' \
    --customize-hook=': >"$1/etc/machine-id"' \
    --customize-hook='chroot "$1" passwd --quiet --lock root' \
    --customize-hook='chroot "$1" systemctl --quiet enable systemd-networkd systemd-resolved' \
    --customize-hook='chroot "$1" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_reap' \
    --customize-hook='echo "127.0.0.1 localhost" >"$1/etc/hosts"' \
    --customize-hook='printf "locale: false\nmanage_etc_hosts: true\n" >"$1/etc/cloud/cloud.cfg.d/10_image.cfg"' \
    --customize-hook='rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/apt/sources.list" "$1/etc/apt/sources.list.d/"*' \
    "$VERSION_CODENAME" "$work/root.tar" "${sources[@]}"

# One file system out of the tree, with its owners. The journal is small, and inodes are set up at once: nothing is left
# to be done in the background of the first boot.
build_root() {
    mkdir "$work/root"
    tar --extract --numeric-owner --file "$work/root.tar" --directory "$work/root"
    cp --dereference "$work/root/vmlinuz" "$work/root/initrd.img" "$work"
    rm -rf "$work/root/boot/"{vmlinuz,initrd.img}-*
    truncate --size 1500M "$work/root.img"
    mke2fs -q -t ext4 -L onet-root -E lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0 -J size=16 \
        -d "$work/root" "$work/root.img"
}
if [[ $(id --user) == 0 ]]; then
    build_root
else
    export -f build_root
    export work
    fakeroot bash -euo pipefail -c build_root
fi

# The boot loader, in a small FAT file system with the kernel, without which it would have to be mounted.
sector=512 boot_start=2048 boot_length=262144
root_start=$((boot_start + boot_length))
cat >"$work/syslinux.cfg" <<'END'
DEFAULT debian
PROMPT 0
TIMEOUT 0
LABEL debian
  KERNEL /vmlinuz
  INITRD /initrd
  APPEND root=LABEL=onet-root ro console=tty0 console=ttyS0,115200 quiet panic=5 tsc=unstable mitigations=off nokaslr cryptomgr.notests random.trust_cpu=on
END
truncate --size $((boot_length * sector)) "$work/boot.img"
mformat -i "$work/boot.img" -F -h 255 -s 63 -H "$boot_start" -T "$boot_length" -v BOOT ::
mcopy -i "$work/boot.img" "$work/vmlinuz" ::vmlinuz
mcopy -i "$work/boot.img" "$work/initrd.img" ::initrd
mcopy -i "$work/boot.img" "$work/syslinux.cfg" ::syslinux.cfg
syslinux --install "$work/boot.img"

# The root's partition comes last, so that it can grow.
truncate --size $((root_start * sector + $(stat --format=%s "$work/root.img"))) "$work/disk.img"
sfdisk --quiet "$work/disk.img" <<END
label: dos
start=$boot_start, size=$boot_length, type=c, bootable
start=$root_start, type=83
END
dd if=/usr/lib/syslinux/mbr/mbr.bin of="$work/disk.img" bs=440 count=1 conv=notrunc status=none
dd if="$work/boot.img" of="$work/disk.img" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$work/root.img" of="$work/disk.img" bs=1M seek=$((root_start * sector >> 20)) conv=notrunc,sparse status=none
mv "$work/disk.img" "$disk"
