# shellcheck shell=bash
# What apxs/run, apxs/test and apxs/install share: which system this is, what its packages are called,
# how to install what is missing, and where cargo and httpd are. Sourced, never run. bash 3.2 is enough,
# since that is what macOS has.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# ordinary users of Debian have no sbin in PATH, where httpd and nft are
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '%s\n' "$*"; }
warn() { printf 'apxs/%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    warn "$@"
    exit 1
}

# --- which system ---------------------------------------------------------------------------------

# Sets SYSTEM to debian, redhat, macos or unknown, and INSTALL to the command a person would type.
detect_system() {
    SYSTEM=unknown
    local like=
    if [ "$(uname -s)" = Darwin ]; then
        SYSTEM=macos
    elif [ -r /etc/os-release ]; then
        # shellcheck disable=SC1091 # the system's file
        like=$(. /etc/os-release && printf ' %s %s ' "${ID:-}" "${ID_LIKE:-}")
        case $like in
            *" debian "* | *" ubuntu "*) SYSTEM=debian ;;
            *" fedora "* | *" rhel "* | *" centos "*) SYSTEM=redhat ;;
        esac
    fi
    case $SYSTEM in
        debian) INSTALL="apt-get install" ;;
        redhat) INSTALL="dnf install" ;;
        macos) INSTALL="brew install" ;;
        *) INSTALL="your package manager: install" ;;
    esac
}

# The package that brings a thing, by this system's name for it. Debian's httpd is apache2-bin: the programs
# without the service, which would start to listen on port 80 as soon as it is installed.
package_of() {
    case $SYSTEM:$1 in
        debian:httpd) echo apache2-bin ;;
        debian:apxs) echo apache2-dev ;;
        debian:cc) echo gcc libc6-dev ;;
        debian:libclang) echo libclang-dev ;;
        debian:pkg-config) echo pkg-config ;;
        debian:sqlite) echo libsqlite3-dev ;;
        debian:openssl) echo libssl-dev ;;
        debian:postgresql) echo postgresql ;;
        debian:chromedriver) echo chromium-driver ;;
        debian:ip) echo iproute2 ;;
        debian:nft) echo nftables ;;
        debian:ps) echo procps ;;
        debian:sqlite3) echo sqlite3 ;;
        debian:nm) echo binutils ;;
        debian:setpriv) echo util-linux ;;
        debian:dh) echo debhelper ;;
        debian:dh_apache2) echo dh-apache2 ;;
        debian:dpkg-buildpackage) echo dpkg-dev ;;
        debian:rpmbuild) echo rpm ;;
        redhat:rpmbuild) echo rpm-build ;;
        *:setfacl) echo acl ;;
        # the source of fr_FR, for a server that speaks French
        debian:locales) echo locales ;;
        debian:promtool) echo prometheus ;;
        debian:openmetrics) echo python3-prometheus-client ;;
        debian:pgpool) echo pgpool2 ;;
        redhat:locales) echo glibc-locale-source ;;
        redhat:apxs) echo httpd-devel ;;
        redhat:cc) echo gcc ;;
        redhat:libclang) echo clang-devel ;;
        redhat:pkg-config) echo pkgconf-pkg-config ;;
        redhat:sqlite) echo sqlite-devel ;;
        redhat:openssl) echo openssl-devel ;;
        redhat:postgresql) echo postgresql-server ;;
        redhat:ip) echo iproute ;;
        redhat:nft) echo nftables ;;
        redhat:ps) echo procps-ng ;;
        redhat:sqlite3) echo sqlite ;;
        redhat:nm) echo binutils ;;
        redhat:setpriv) echo util-linux ;;
        macos:apxs) echo httpd ;;
        macos:cc) echo "the Command Line Tools (xcode-select --install)" ;;
        macos:libclang) echo llvm ;;
        macos:pkg-config) echo pkgconf ;;
        macos:openssl) echo openssl@3 ;;
        macos:postgresql) echo postgresql@16 ;;
        macos:sqlite3) echo sqlite ;;
        *) echo "$1" ;;
    esac
}

# --- what is there --------------------------------------------------------------------------------

# A tool of Homebrew's httpd, which macOS's own would otherwise hide (that one loads no foreign modules).
brewed() {
    local prefix
    prefix=$(brew --prefix "$1" 2>/dev/null) && [ -x "$prefix/bin/$2" ] && printf '%s\n' "$prefix/bin/$2"
}

# Prints the path of apxs; the environment variable APXS overrides, here as in build.rs.
find_apxs() {
    if [ -n "${APXS:-}" ]; then
        command -v "$APXS"
    elif [ "$SYSTEM" = macos ]; then
        brewed httpd apxs
    else
        command -v apxs || command -v apxs2
    fi
}

# Prints the path of the httpd that this apxs builds for. Debian's says so by PROGNAME.
find_httpd() {
    local apxs name
    if apxs=$(find_apxs); then
        for name in "$("$apxs" -q PROGNAME 2>/dev/null)" httpd apache2; do
            if [ -n "$name" ] && [ -x "$("$apxs" -q SBINDIR)/$name" ]; then
                printf '%s/%s\n' "$("$apxs" -q SBINDIR)" "$name"
                return
            fi
        done
    fi
    [ "$SYSTEM" != macos ] || brewed httpd httpd || return
    command -v apache2 || command -v httpd
}

# libclang is loaded by bindgen at run time; it lives in a directory of its own version.
find_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return
    local file
    for file in /usr/lib/llvm-*/lib/libclang*.so* /usr/lib64/libclang*.so* /usr/lib*/*/libclang*.so* \
        /usr/lib64/llvm*/lib*/libclang*.so* /Library/Developer/CommandLineTools/usr/lib/libclang.dylib \
        /Applications/Xcode.app/Contents/Developer/Toolchains/*/usr/lib/libclang.dylib \
        /opt/homebrew/opt/llvm/lib/libclang.dylib /usr/local/opt/llvm/lib/libclang.dylib; do
        # the -cpp library beside it is another thing
        case $file in *libclang-cpp*) continue ;; esac
        [ -e "$file" ] && find_clang_headers && return
    done
    return 1
}

# stddef.h and its like, which libclang alone does not bring: other packages (doxygen) pull in the library without them.
find_clang_headers() {
    local file
    for file in /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib*/clang/*/include/stddef.h \
        /usr/lib64/llvm*/lib*/clang/*/include/stddef.h /Library/Developer/CommandLineTools/usr/lib/clang/*/include/stddef.h \
        /Applications/Xcode.app/Contents/Developer/Toolchains/*/usr/lib/clang/*/include/stddef.h \
        /opt/homebrew/opt/llvm/lib/clang/*/include/stddef.h /usr/local/opt/llvm/lib/clang/*/include/stddef.h; do
        [ -e "$file" ] && return
    done
    return 1
}

# PostgreSQL's own programs are not in PATH on Debian.
find_postgres() {
    local file
    for file in /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb \
        /usr/local/opt/postgresql*/bin/initdb; do
        [ -x "$file" ] && return
    done
    command -v initdb >/dev/null
}

have() {
    case $1 in
        httpd) find_httpd >/dev/null ;;
        apxs) find_apxs >/dev/null ;;
        cc) command -v cc >/dev/null && { [ "$SYSTEM" = macos ] || [ -e /usr/include/stdio.h ]; } ;;
        libclang) find_libclang ;;
        pkg-config) [ "$SYSTEM" = macos ] || command -v pkg-config >/dev/null ;;
        # macOS brings SQLite; openssl's own build script finds Homebrew's OpenSSL
        sqlite) [ "$SYSTEM" = macos ] || pkg-config --exists sqlite3 2>/dev/null ;;
        openssl) if [ "$SYSTEM" = macos ]; then brew --prefix --installed openssl@3 >/dev/null 2>&1; else
            pkg-config --exists openssl 2>/dev/null
        fi ;;
        postgresql) find_postgres ;;
        openmetrics) /usr/bin/python3 -c "import prometheus_client.openmetrics.parser" 2>/dev/null ;;
        locales) [ -e /usr/share/i18n/locales/fr_FR ] ;;
        chromium) command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
            command -v google-chrome >/dev/null || [ -d "/Applications/Chromium.app" ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# --- installing -----------------------------------------------------------------------------------

# Runs a command as root: as it is, or by sudo, which asks for no password where nobody could type one.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif ! command -v sudo >/dev/null; then
        return 127
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Homebrew installs as the user it belongs to.
may_install() { [ "$(id -u)" = 0 ] || [ "$SYSTEM" = macos ] || command -v sudo >/dev/null; }

install_packages() {
    may_install || return
    case $SYSTEM in
        debian)
            as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null ||
                warn "apt-get update failed; going on with the lists that are here"
            as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" </dev/null
            ;;
        redhat)
            # RHEL and its rebuilds have the browser and the pooler, which only the tests want, in EPEL
            case " $* " in
                *" chromium "* | *" chromedriver "* | *" pgbouncer "* | *" lynx "*)
                    [ -e /etc/fedora-release ] || rpm -q epel-release >/dev/null 2>&1 ||
                        as_root dnf -q -y install epel-release </dev/null || true
                    ;;
            esac
            as_root dnf -q -y install "$@" </dev/null
            ;;
        macos) brew install -q "$@" </dev/null ;;
        *) return 1 ;;
    esac
}

# need THING…: installs what is missing, in one go, and ends with one sentence where that is not possible.
need() {
    local thing package
    local missing=() packages=()
    for thing in "$@"; do
        if ! have "$thing"; then
            missing+=("$thing")
            for package in $(package_of "$thing"); do packages+=("$package"); done
        fi
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing what is missing: ${packages[*]}"
    local log
    log=$(mktemp)
    # one that cannot be had must not keep the others away
    install_packages "${packages[@]}" >"$log" 2>&1 || ! may_install ||
        for package in "${packages[@]}"; do install_packages "$package" >>"$log" 2>&1 || true; done
    local lacking=()
    for thing in "${missing[@]}"; do have "$thing" || lacking+=("$thing"); done
    if [ ${#lacking[@]} -gt 0 ]; then
        packages=()
        for thing in "${lacking[@]}"; do packages+=("$(package_of "$thing")"); done
        tail -n 5 "$log" >&2
        rm -f "$log"
        die "${lacking[*]} missing, and could not be installed from here; as root: $INSTALL ${packages[*]}"
    fi
    rm -f "$log"
}

# Everything that cargo build needs beside Rust.
need_build_tools() {
    need cc pkg-config httpd apxs libclang sqlite openssl
}

# --- Rust -----------------------------------------------------------------------------------------

# Puts cargo into PATH, or says in one sentence where to get it. The version stands in Cargo.toml.
need_cargo() {
    local least place version
    least=$(sed -n 's/^rust-version *= *"\([^"]*\)".*/\1/p' "$ROOT/Cargo.toml")
    for place in "${CARGO_HOME:-/nonexistent}/bin" "${HOME:-/root}/.cargo/bin" /usr/local/cargo/bin \
        /opt/homebrew/opt/rustup/bin; do
        command -v cargo >/dev/null && break
        if [ -x "$place/cargo" ]; then PATH=$place:$PATH; fi
    done
    command -v cargo >/dev/null ||
        die "there is no Rust toolchain here; install Rust $least or newer from https://rustup.rs, then run this again"
    version=$(cd "$ROOT" && cargo --version | awk '{ print $2 }')
    # the lower of the two must be the least one supported
    [ "$(printf '%s\n%s\n' "$least" "$version" | sort -t. -k1,1n -k2,2n | head -n 1)" = "$least" ] ||
        die "Rust $least or newer is needed, cargo is $version ($(command -v cargo)): rustup update, or https://rustup.rs"
    export PATH
    # there Rust links programs statically, and makes no library that httpd could load
    case $(rustc -vV 2>/dev/null) in
        *-linux-musl*)
            case ${RUSTFLAGS:-} in
                *-crt-static*) ;;
                *) die "this Rust toolchain is for musl and makes no loadable module as it is; run: RUSTFLAGS='-C target-feature=-crt-static' $0" ;;
            esac
            ;;
    esac
}

# need_component COMMAND COMPONENT: a part of the Rust toolchain that minimal installations leave out.
need_component() {
    cargo "$1" --version >/dev/null 2>&1 && return
    if command -v rustup >/dev/null; then
        (cd "$ROOT" && rustup component add "$2") >/dev/null 2>&1 || true
    fi
    cargo "$1" --version >/dev/null 2>&1 || die "cargo $1 is missing: rustup component add $2"
}

target_directory() {
    (cd "$ROOT" && cargo metadata --format-version 1 --no-deps --offline 2>/dev/null) |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# Builds the release module and sets MODULE to it.
build_module() {
    local name=libmod_dbtest.so
    [ "$SYSTEM" != macos ] || name=libmod_dbtest.dylib
    (cd "$ROOT" && cargo build --release --locked)
    # shellcheck disable=SC2034 # for the scripts that source this
    MODULE=$(target_directory)/release/$name
    [ -f "$MODULE" ] || die "cargo built no $MODULE"
}

# The account that the system's httpd runs as; prints USER GROUP.
server_account() {
    local name
    for name in www-data apache wwwrun _www http daemon; do
        if id -u "$name" >/dev/null 2>&1; then
            printf '%s %s\n' "$name" "$(id -gn "$name")"
            return
        fi
    done
    echo "nobody nogroup"
}

# place FILE DESTINATION MODE: puts a file in its place by rename, so that whoever has the old one open or
# mapped keeps it whole: a running httpd whose module is overwritten in place dies.
place() {
    local as=as_root
    # Homebrew's files belong to a person; one of root's there would be in the way of its next upgrade
    if [ -w "$(dirname "$2")" ]; then as=; fi
    $as mkdir -p "$(dirname "$2")"
    $as cp "$1" "$2.new.$$"
    $as chmod "$3" "$2.new.$$"
    $as mv -f "$2.new.$$" "$2"
}

detect_system
