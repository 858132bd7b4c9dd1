# Directories of users, one a line: /root, those in /home, and those of the user database.
homes() {
    printf '%s\n' "$root/root"
    for home in "$root"/home/*; do
        if [ -d "$home" ]; then printf '%s\n' "$home"; fi
    done
    if [ -r "$root/etc/passwd" ]; then
        while IFS=: read -r _ _ _ _ _ home _; do
            case $home in /?*) printf '%s\n' "$root$home" ;; esac
        done < "$root/etc/passwd"
    fi
}

# Histories of shells and of other interactive programs, below a home.
history_names='.ash_history .bash_history .ksh_history .sh_history .zsh_history .histfile .lesshst .viminfo
.python_history .node_repl_history .mysql_history .mariadb_history .psql_history .sqlite_history .rediscli_history
.wget-hsts .local/share/fish/fish_history .local/state/lesshst'

# Files in which a proxy is set.
proxy_files() {
    for file in "$root"/etc/environment "$root"/etc/profile "$root"/etc/bash.bashrc "$root"/etc/wgetrc \
        "$root"/etc/apt/apt.conf "$root"/etc/yum.conf "$root"/etc/dnf/dnf.conf \
        "$root"/etc/apt/apt.conf.d/* "$root"/etc/profile.d/* "$root"/etc/environment.d/* \
        "$root"/etc/systemd/system.conf.d/* "$root"/etc/systemd/user.conf.d/* "$root"/etc/systemd/system/*.d/*.conf; do
        if [ -f "$file" ]; then printf '%s\n' "$file"; fi
    done
    homes | while IFS= read -r home; do
        for name in .profile .bashrc .bash_profile .curlrc .wgetrc .gitconfig .npmrc .config/pip/pip.conf; do
            if [ -f "$home/$name" ]; then printf '%s\n' "$home/$name"; fi
        done
    done
}

has_systemd() {
    [ -e "$root/usr/lib/systemd/systemd" ] || [ -e "$root/lib/systemd/systemd" ]
}

# Whether a file contains one of the lines of text; on standard input, as text may be secret and arguments are not.
mentions() {
    printf '%s\n' "$2" | grep -qF -f - "$1"
}
