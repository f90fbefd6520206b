# Servers that gateways fetch from. Source it after net.sh, with SERVERS the namespace they live in.

# start NAME PORT COMMAND...: a server, until somebody listens on the port.
start() {
  local name=$1 port=$2; shift 2
  ip netns exec "$SERVERS" "$@" > "$WORK/$name.log" 2>&1 &
  PIDS+=($!)
  eval "PID_$name=$!"
  wait_for 10 listens "$port" || die "$name did not start"
}
listens() { in_ns "$SERVERS" ss -Hlntu | awk '{ print $5 }' | grep -q ":$1\$"; }

# server_certificate PKI NAMES: server.pem and server.key there, for TLS, of the root.
server_certificate() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1/server.key"
  openssl req -new -key "$1/server.key" -subj /CN=server |
    openssl x509 -req -CA "$1/root.pem" -CAkey "$1/root.key" -CAcreateserial -days 2 -out "$1/server.pem" \
      -extfile <(echo "subjectAltName=$2") 2> /dev/null
}

# start_nginx: the files of SERVED, by HTTP, and on port 81 the one called `answer`, whatever is asked; whom it was asked for
# what is in nginx/access. With NGINX_TLS by HTTPS as well, with PKI's server certificate.
start_nginx() {
  mkdir -p "$WORK/nginx"
  local tls=
  [[ -z ${NGINX_TLS:-} ]] || tls="listen 443 ssl; listen [::]:443 ssl; ssl_certificate $PKI/server.pem; ssl_certificate_key $PKI/server.key;"
  cat > "$WORK/nginx/conf" <<C
daemon off; pid $WORK/nginx/pid; error_log stderr; user nobody nogroup; worker_processes 1;
events { }
http {
  access_log $WORK/nginx/access;
  client_body_temp_path $WORK/nginx/body; proxy_temp_path $WORK/nginx/proxy; fastcgi_temp_path $WORK/nginx/fastcgi;
  uwsgi_temp_path $WORK/nginx/uwsgi; scgi_temp_path $WORK/nginx/scgi;
  server { listen 80; listen [::]:80; $tls root $SERVED; }
  server { listen 81; root $SERVED; default_type application/ocsp-response; location / { rewrite ^ /answer break; } }
}
C
  start nginx 80 /usr/sbin/nginx -c "$WORK/nginx/conf"
}

# start_directory PKI NAME=CRL...: slapd with an object cn=NAME,o=PKI for each, and its CRL if there is one; LDAP and LDAPS
# with PKI's server certificate. "Closed CA" is for those who show the password.
start_directory() {
  local pki=$1 entry; shift
  rm -rf "$WORK/slapd"
  mkdir -p "$WORK/slapd/data"
  cat > "$WORK/slapd/conf" <<C
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile $pki/server.pem
TLSCertificateKeyFile $pki/server.key
database mdb
suffix "o=PKI"
rootdn "cn=admin,o=PKI"
rootpw secret
directory $WORK/slapd/data
access to dn.base="cn=Closed CA,o=PKI" by users read by anonymous auth
access to * by * read
C
  {
    printf 'dn: o=PKI\nobjectClass: organization\no: PKI\n\n'
    for entry in "$@"; do
      printf 'dn: cn=%s,o=PKI\nobjectClass: cRLDistributionPoint\ncn: %s\n' "${entry%%=*}" "${entry%%=*}"
      [[ -z ${entry#*=} ]] || printf 'certificateRevocationList;binary:: %s\n' "$(base64 -w0 "${entry#*=}")"
      echo
    done
  } > "$WORK/slapd/ldif"
  slapadd -f "$WORK/slapd/conf" -l "$WORK/slapd/ldif" > "$WORK/slapd/load" 2>&1 || { cat "$WORK/slapd/load" >&2; die "slapadd"; }
  start slapd 389 /usr/sbin/slapd -d 0 -f "$WORK/slapd/conf" -h "ldap:/// ldaps:///"
}

# start_vsftpd FOLDER and start_tftpd FOLDER: its files, to anybody.
start_vsftpd() {
  mkdir -p /var/run/vsftpd/empty
  cat > "$WORK/vsftpd" <<C
listen=NO
listen_ipv6=YES
background=NO
anonymous_enable=YES
anon_root=$1
no_anon_password=NO
seccomp_sandbox=NO
secure_chroot_dir=/var/run/vsftpd/empty
C
  start vsftpd 21 /usr/sbin/vsftpd "$WORK/vsftpd"
}
start_tftpd() { start tftpd 69 /usr/sbin/in.tftpd --foreground --address '[::]:69' --user nobody --secure "$1"; }

# start_sshd FOLDER: SFTP in it for root with the key ssh/client; the server's key is ssh/host, and ssh/known has another one.
start_sshd() {
  local key
  mkdir -p "$WORK/ssh" /run/sshd
  for key in host client stranger; do ssh-keygen -q -t ed25519 -N "" -f "$WORK/ssh/$key"; done
  printf '192.0.2.1 %s\n' "$(cut -d' ' -f1,2 "$WORK/ssh/stranger.pub")" > "$WORK/ssh/known"
  cat > "$WORK/ssh/conf" <<C
Port 22
HostKey $WORK/ssh/host
AuthorizedKeysFile $WORK/ssh/client.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
Subsystem sftp internal-sftp -d $1
C
  start sshd 22 /usr/sbin/sshd -D -e -f "$WORK/ssh/conf"
}
