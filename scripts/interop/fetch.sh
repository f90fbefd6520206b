#!/usr/bin/env bash
# CRLs from real servers, over IPv4 and IPv6, by ravelin-fetch from a namespace that is not its own:
# nginx (HTTP and HTTPS), slapd (LDAP and LDAPS), vsftpd, tftpd-hpa. Each alive, without the file,
# with more than the cap, dead, and as a black hole (its packets dropped), which must end by the deadline.
#
#   [gateway A] 10.1.0.1 fd00:1::1 --- 10.1.0.2 fd00:1::2 [host A: the servers]
. "$(dirname "$0")/../lib/scenario.sh"
. "$ROOT/scripts/lib/servers.sh"
SERVERS=$HA
for program in nginx slapd vsftpd in.tftpd; do needs "/usr/sbin/$program" "$program"; done
chmod 755 "$WORK" # servers give up root before they read
KEPT=$WORK/kept SERVED=$WORK/served ROOTS=$WORK/pki/root.pem

# fetch ARGUMENTS...: from gateway A's namespace; what it says is left in $SAID.
fetch() {
  SAID=$("$TARGET/ravelin-fetch" --netns "$GWA" --roots "$ROOTS" --out "$WORK/got" "$@" 2>&1) ||
    { local status=$?; say "    $SAID"; return $status; }
}
gives() { rm -f "$WORK/got"; fetch "$@" && cmp -s "$WORK/got" "$SERVED/root.crl"; }
# refuses PATTERN ARGUMENTS...: fails and says so in these words.
refuses() { local pattern=$1; shift; ! fetch "$@" 2> /dev/null && grep -qE "^error $pattern" <<< "$SAID" || { say "    $SAID"; false; }; }
# within SECONDS COMMAND...
within() { local from=$SECONDS limit=$1; shift; "$@" && ((SECONDS - from <= limit)); }

make_crl() {
  mkdir -p "$SERVED/pub"
  make_pki "$WORK/pki" ec
  printf '[ca]\ndefault_ca=x\n[x]\ndatabase=%s\ndefault_md=sha256\ndefault_crl_days=30\n' "$WORK/pki/index" > "$WORK/pki/ca.conf"
  : > "$WORK/pki/index"
  openssl ca -gencrl -config "$WORK/pki/ca.conf" -keyfile "$WORK/pki/root.key" -cert "$WORK/pki/root.pem" 2> /dev/null |
    openssl crl -outform DER -out "$SERVED/root.crl"
  head -c 3000000 /dev/urandom > "$SERVED/large.crl"
  server_certificate "$WORK/pki" IP:10.1.0.2,IP:fd00:1::2
  cp "$SERVED"/*.crl "$SERVED/pub/"
  chmod -R a+rX "$SERVED"
}

start_nginx() {
  mkdir -p "$WORK/nginx"
  cat > "$WORK/nginx/conf" <<C
daemon off; pid $WORK/nginx/pid; error_log stderr; user nobody nogroup; worker_processes 1;
events { }
http {
  access_log $WORK/nginx/access; gzip on; gzip_types *; gzip_min_length 1;
  client_body_temp_path $WORK/nginx/body; proxy_temp_path $WORK/nginx/proxy; fastcgi_temp_path $WORK/nginx/fastcgi;
  uwsgi_temp_path $WORK/nginx/uwsgi; scgi_temp_path $WORK/nginx/scgi;
  server {
    listen 80; listen [::]:80; root $SERVED;
    location /hour/ { alias $SERVED/; add_header Cache-Control max-age=3600; }
    location = /moved { return 301 /root.crl; }
    location = /secured { return 302 https://\$server_addr_url/root.crl; }
    location = /circle { return 302 /circle; }
    location = /inside { return 302 http://127.0.0.1/root.crl; }
    location = /file { return 302 file:///etc/passwd; }
  }
  server {
    listen 443 ssl; listen [::]:443 ssl; root $SERVED;
    ssl_certificate $WORK/pki/server.pem; ssl_certificate_key $WORK/pki/server.key;
    location = /down { return 302 http://10.1.0.2/root.crl; }
  }
  map \$server_addr \$server_addr_url { ~: "[\$server_addr]"; default \$server_addr; }
}
C
  start nginx 80 /usr/sbin/nginx -c "$WORK/nginx/conf"
}

# A name server in host A that knows three names and keeps silent about another; gateway A's resolver asks it.
start_dns() {
  start dns 53 "$PYTHON" "$ROOT/scripts/lib/names.py" crl.example=10.1.0.2,fd00:1::2 inside.example=127.0.0.1 \
    mixed.example=10.1.0.2,127.0.0.1 silent.example=
  mkdir -p "/etc/netns/$GWA"
  printf 'nameserver 10.1.0.2\noptions timeout:30 attempts:1\n' > "/etc/netns/$GWA/resolv.conf"
}
names_gone() { rm -rf "/etc/netns/$GWA"; }
trap 'status=$?; ((status == 0 || status == 77)) || scenario_logs; names_gone; net_cleanup' EXIT

# drop_all / pass_all: host A hears nothing, and says nothing of it.
drop_all() {
  in_ns "$HA" nft -f - <<'N'
table inet hole {
  chain input {
    type filter hook input priority 0; policy drop;
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
  }
}
N
}
pass_all() { in_ns "$HA" nft delete table inet hole; }

net_up
ip -n "$GWA" addr add 10.1.0.1/24 dev lan0
ip -n "$GWA" addr add fd00:1::1/64 dev lan0 nodad
make_crl
start_nginx
start_directory "$WORK/pki" "Some CA=$SERVED/root.crl" "Closed CA=$SERVED/root.crl" None=
start_vsftpd "$SERVED/pub"
start_dns
start_tftpd "$SERVED/pub"
LDAP='cn=Some%20CA,o=PKI?certificateRevocationList;binary'

for host in 10.1.0.2 '[fd00:1::2]'; do
  say "servers at $host"
  for url in "http://$host/root.crl" "https://$host/root.crl" "ldap://$host/$LDAP" "ldaps://$host/$LDAP" "ftp://$host/root.crl" "tftp://$host/root.crl"; do
    hold "$url gives the CRL" gives "$url"
    hold "$url is too large for a cap of 100" refuses 'Policy it has (at least )?[0-9]+ octets, more than the 100' --cap 100 "$url"
    hold "$url is refused to a certificate" refuses 'Policy .* a private network' --foreign "$url"
  done
  hold "a certificate may where it is allowed" gives --foreign --allow 10.1.0.0/16 --allow fd00:1::/64 "http://$host/root.crl"
  for url in "http://$host" "https://$host" "ftp://$host" "tftp://$host"; do
    hold "$url has no other file" refuses 'Server the server answers (404|550|1)' "$url/none.crl"
    hold "$url has a large one" fetch "$url/large.crl"
    [[ $SAID == "ok 3000000 "* ]] || die "not whole: $SAID"
    hold "$url: it is stopped at a megabyte" refuses 'Policy it has .* more than the 1000000' --cap 1000000 "$url/large.crl"
  done
  hold "slapd has no other object" refuses 'Server the server answers 32: no such object' "ldap://$host/cn=Other,o=PKI?cACertificate"
  hold "and an object without a CRL" refuses 'Server the server answers 16' "ldap://$host/cn=None,o=PKI?certificateRevocationList"
  hold "a closed object is none to guests" refuses 'Server the server answers 50: insufficient access rights' "ldap://$host/${LDAP/Some/Closed}"
  hold "and opens to a name and password" gives --user cn=admin,o=PKI --password secret "ldaps://$host/${LDAP/Some/Closed}"
  hold "so it does after StartTLS" gives --start-tls --user cn=admin,o=PKI --password secret "ldap://$host/${LDAP/Some/Closed}"
  hold "which a server of another root is not trusted with" refuses 'Server TLS .* does not chain' \
    --roots "$WORK/pki/sub.pem" --start-tls --user cn=admin,o=PKI --password secret "ldap://$host/$LDAP"
  hold "a wrong password is refused" refuses 'Server the server answers 49' --user cn=admin,o=PKI --password wrong "ldap://$host/$LDAP"
  hold "moved on the same server" gives "http://$host/moved"
  hold "moved up to TLS" gives "http://$host/secured"
  hold "not down from it" refuses 'Server redirected .* another scheme' "https://$host/down"
  hold "not to a file" refuses 'Server redirected .* another scheme' "http://$host/file"
  hold "not in circles" refuses 'Server redirected .* one more than the 3' "http://$host/circle"
  hold "not into this machine" refuses 'Policy 127.0.0.1 is 127.0.0.1:80, in this machine itself' "http://$host/inside"
  hold "nobody listens on port 81" refuses 'Server .*:81 refuses the connection' "http://$host:81/"
done

hold "a name is asked of the instance's own name server" gives http://crl.example/root.crl
hold "a name that leads inside is refused to a certificate" refuses 'Policy inside.example is 127.0.0.1:80, in this machine' \
  --foreign http://inside.example/
hold "of a name that leads both ways the way in is not taken" gives --foreign --allow 10.1.0.0/16 http://mixed.example/root.crl
hold "a name that nobody has" refuses 'Server none.example does not resolve' http://none.example/
hold "a silent name server ends by the deadline" within 4 refuses 'Server not done within 2.0 s: .* resolving the name' \
  --deadline 2 http://silent.example/

hold "another root's server is not believed" refuses 'Server TLS .* does not chain' --roots "$WORK/pki/sub.pem" https://10.1.0.2/root.crl
hold "it is kept" gives --kept "$KEPT" http://10.1.0.2/root.crl http://10.1.0.2/hour/root.crl
hold "and asked about after a restart" fetch --kept "$KEPT" http://10.1.0.2/root.crl
[[ $SAID == "ok "*" revalidated-10.1.0.2:80 0" ]] || die "not revalidated: $SAID"
[[ $(tail -n 1 "$WORK/nginx/access") == *'" 304 0 '* ]] || die "nginx says: $(tail -n 1 "$WORK/nginx/access")"
before=$(wc -l < "$WORK/nginx/access")
hold "and not asked about while it is fresh" fetch --kept "$KEPT" http://10.1.0.2/hour/root.crl
[[ $SAID == "ok "*" cache 3"* && $(wc -l < "$WORK/nginx/access") == "$before" ]] || die "asked: $SAID"

drop_all
for url in http://10.1.0.2/root.crl 'https://[fd00:1::2]/root.crl' "ldap://10.1.0.2/$LDAP" 'ftp://[fd00:1::2]/root.crl'; do
  hold "$url: a black hole ends by the deadline" within 4 refuses 'Server not done within 2.0 s: the time ran out while connecting' --deadline 2 "$url"
done
hold "tftp: so does it there" within 4 refuses 'Server not done within 2.0 s: .* waiting for the answer' --deadline 2 tftp://10.1.0.2/root.crl
hold "what is fresh is there all the same" gives --kept "$KEPT" http://10.1.0.2/hour/root.crl
pass_all

say "all hold"
