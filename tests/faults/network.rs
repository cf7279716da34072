//! Faults on the way to the server: names, routes, filters, sockets, and strangers that listen on the port.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use super::ground::{Case, Ground};

/// A peer on 127.0.0.1:`port` that says `greeting` to everybody, and then waits, or closes if that is empty.
fn stranger(port: u16, greeting: &'static [u8], closes: bool) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port of this namespace");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // whatever is asked, the answer is the same
                let mut buffer = [0; 64];
                if closes {
                    let _ = stream.read(&mut buffer);
                }
                let _ = stream.write_all(greeting);
                if !closes {
                    thread::sleep(Duration::from_secs(10));
                }
            });
        }
    });
}

/// A case whose port is another one, where something was set up.
fn at_port(ids: &'static [&'static str], port: u16, id: &'static str) -> Case {
    Case::new(ids, "speaks", id)
        .url(Box::leak(format!("postgresql://{{role}}:{{password}}@127.0.0.1:{port}/{{db}}").into_boxed_str()))
}

#[test]
fn strangers_on_the_port() {
    let ground = Ground::new("");
    stranger(1080, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", true);
    stranger(3306, b"J\0\0\0\x0a8.0.36\0abcdefgh\0", false);
    stranger(2222, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", false);
    stranger(6379, b"-ERR unknown command\r\n", true);
    stranger(2525, b"220 mail.example.org ESMTP Postfix\r\n", false);
    stranger(7000, b"", true);
    stranger(7001, b"", false);
    stranger(7002, b"\x15\x03\x01\x00\x02\x02\x46", true);
    stranger(7003, b"\x00\x01\x02\x03\x04\x05", true);
    stranger(7004, b"N", true);
    ground.run(vec![
        at_port(&["NET-13"], 1080, "DBT0501"),
        at_port(&["NET-14"], 3306, "DBT0502"),
        at_port(&["NET-15"], 2222, "DBT0503"),
        at_port(&["NET-17"], 6379, "DBT0504"),
        at_port(&["NET-17b"], 2525, "DBT0505"),
        at_port(&["NET-11"], 7000, "DBT0507"),
        at_port(&["NET-12"], 7001, "DBT0508"),
        at_port(&["NET-16"], 7002, "DBT0506"),
        at_port(&["NET-17c"], 7003, "DBT0509"),
        // a tunnel on the loopback: what is sent in the clear may leave this machine
        Case::new(&["TLS-25"], "tls", "DBT0601")
            .url("postgresql://{role}:{password}@127.0.0.1:7004/{db}?sslmode=require")
            .fix_not_sure("")
            .not_cured("there is no server behind it"),
    ]);
}

const RULES: &str = "nft add table inet dbtest; nft 'add chain inet dbtest in { type filter hook input priority 0; }'; \
                     nft 'add chain inet dbtest out { type filter hook output priority 0; }'; ";
const NO_RULES: &str = "nft delete table inet dbtest";

#[test]
fn routes_and_filters() {
    Ground::new("").run(vec![
        Case::new(&["NET-06"], "reach", "DBT0413")
            .make(|ground, case| {
                super::site::sh(&format!(
                    "{RULES} {}",
                    ground.fill(case, "nft add rule inet dbtest in tcp dport {port} drop")
                ))
            })
            .undo(|_, _| super::site::sh(NO_RULES))
            .not_cured("the rule is in a table of the test's own"),
        Case::new(&["NET-09"], "reach", "DBT0409")
            .make(|ground, case| {
                let rule = "nft add rule inet dbtest in tcp dport {port} reject with icmpx admin-prohibited";
                super::site::sh(&format!("{RULES} {}", ground.fill(case, rule)));
            })
            .undo(|_, _| super::site::sh(NO_RULES))
            .not_cured("the rule is in a table of the test's own"),
        Case::new(&["NET-09b"], "reach", "DBT0414")
            .make(|ground, case| {
                let rule = "nft add rule inet dbtest in tcp dport {port} reject with tcp reset";
                super::site::sh(&format!("{RULES} {}", ground.fill(case, rule)));
            })
            .undo(|_, _| super::site::sh(NO_RULES))
            .not_cured("the rule is in a table of the test's own"),
        Case::new(&["NET-07"], "reach", "DBT0407")
            .url("postgresql://{role}:{password}@203.0.113.5:{port}/{db}")
            .sh("ip route add prohibit 203.0.113.5")
            .undo_sh("ip route del prohibit 203.0.113.5")
            .not_cured("there is no server behind the route"),
        Case::new(&["NET-08"], "reach", "DBT0408")
            .url("postgresql://{role}:{password}@203.0.113.6:{port}/{db}")
            .not_cured("there is no server behind the route"),
        Case::new(&["NET-08b"], "reach", "DBT0416")
            .url("postgresql://{role}:{password}@[2001:db8::5]:{port}/{db}")
            .not_cured("there is no server behind the route"),
        Case::new(&["NET-10"], "reach", "DBT0410")
            .make(|ground, _| {
                super::site::sh("sysctl -qw net.ipv4.ip_local_port_range='40000 40001'");
                let port = ground.cluster.port;
                HELD.with(|held| {
                    held.borrow_mut()
                        .extend((0..4).filter_map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).ok()));
                });
            })
            .undo(|_, _| {
                HELD.with(|held| held.borrow_mut().clear());
                super::site::sh(
                    "sysctl -qw net.ipv4.ip_local_port_range='32768 60999'; rm -f /etc/sysctl.d/60-mod-dbtest.conf",
                );
            })
            .not_cured("httpd's own answer needs one of the two ports as well"),
        Case::new(&["NET-01"], "reach", "DBT0401")
            .make(|ground, _| ground.cluster.stop())
            .not_cured("the printed fix starts the system's own PostgreSQL"),
        Case::new(&["NET-02"], "reach", "DBT0404").conf("listen_addresses = ''"),
        Case::new(&["NET-03"], "reach", "DBT0402").url("postgresql://{role}:{password}@127.0.0.1:7499/{db}"),
        Case::new(&["NET-04"], "reach", "DBT0403")
            .url("postgresql://{role}:{password}@192.0.2.7:{port}/{db}")
            .sh("ip addr add 192.0.2.7/32 dev lo")
            .undo_sh("ip addr del 192.0.2.7/32 dev lo"),
        Case::new(&["RES-04"], "reach", "DBT0403").url("postgresql://{role}:{password}@[::1]:{port}/{db}"),
        Case::new(&["RES-02"], "resolve", "DBT0302")
            .url("postgresql://{role}:{password}@db.example:{port}/{db}")
            .not_cured("there is no name server in this namespace"),
    ]);
}

thread_local! {
    static HELD: std::cell::RefCell<Vec<std::net::TcpStream>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A name server that knows no name but those under corp.example and .local, which are 127.0.0.1.
fn name_server() {
    let socket = UdpSocket::bind("127.0.0.77:53").expect("port 53 of this namespace");
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((count, peer)) = socket.recv_from(&mut buffer) {
            // the question, marked as an answer (QR, RA) that there is no such name (RCODE 3)
            buffer[2] |= 0x80;
            buffer[3] = 0x83;
            let mut answer = buffer[..count].to_vec();
            let known = answer.windows(4).any(|label| label == b"corp" || label == b"site");
            let kind =
                answer[12..].iter().position(|byte| *byte == 0).and_then(|end| answer.get(12 + end + 2)).copied();
            if known {
                answer.truncate(12 + answer[12..].iter().position(|byte| *byte == 0).expect("a name") + 5);
                (answer[3], answer[11]) = (0x80, 0);
                if kind == Some(1) {
                    answer[7] = 1;
                    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
                }
            }
            let _ = socket.send_to(&answer, peer);
        }
    });
}

#[test]
fn names() {
    let mut ground = Ground::new("");
    name_server();
    let dir = ground.cluster.dir().to_owned();
    std::fs::write(dir.join("resolv.conf"), "nameserver 127.0.0.77\noptions timeout:1 attempts:1\n")
        .expect("resolv.conf");
    std::fs::write(dir.join("hosts"), "127.0.0.1 localhost\n127.0.1.1 dbhost\n").expect("hosts");
    std::fs::write(dir.join("nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")
        .expect("nsswitch.conf");
    let mounts = format!(
        "mount --bind {0}/resolv.conf \"$(readlink -f /etc/resolv.conf)\" && mount --bind {0}/hosts /etc/hosts && \
         mount --bind {0}/nsswitch.conf /etc/nsswitch.conf && exec \"$@\"",
        dir.display()
    );
    ground.words.push(("{dir}", dir.display().to_string()));
    ground.under = ["unshare", "-m", "--propagation", "private", "sh", "-c", &mounts, "sh"].map(str::to_owned).to_vec();
    ground.run(vec![
        Case::new(&["RES-01"], "resolve", "DBT0301").url("postgresql://{role}:{password}@localhots:{port}/{db}"),
        Case::new(&["RES-01b"], "resolve", "DBT0301")
            .url("postgresql://{role}:{password}@db.nosuch.example:{port}/{db}")
            .not_cured("which host was meant is for a person to say"),
        Case::new(&["RES-08"], "resolve", "DBT0303")
            .url("postgresql://{role}:{password}@10.0.0.300:{port}/{db}")
            .not_cured("which address was meant is for a person to say"),
        Case::new(&["RES-05"], "reach", "DBT0403").url("postgresql://{role}:{password}@dbhost:{port}/{db}"),
        // another machine's name is nearly this one: no reason to send it the password
        Case::new(&["RES-01c"], "resolve", "DBT0301")
            .url("postgresql://{role}:{password}@dbhots:{port}/{db}")
            .fix_not_sure("")
            .not_cured("which host was meant is for a person to say"),
        Case::new(&["RES-06"], "resolve", "DBT0305")
            .url("postgresql://{role}:{password}@db.site.local:{port}/{db}")
            .sh("printf 'passwd: files\\ngroup: files\\nhosts: files [NOTFOUND=return] dns\\n' >{dir}/nsswitch.conf")
            .undo_sh("printf 'passwd: files\\ngroup: files\\nhosts: files dns\\n' >{dir}/nsswitch.conf"),
        Case::new(&["RES-07"], "resolve", "DBT0306")
            .url("postgresql://{role}:{password}@db.corp.example:{port}/{db}")
            .sh("chmod 600 {dir}/resolv.conf")
            .undo_sh("chmod 644 {dir}/resolv.conf")
            .under("chmod a+r {dir}/resolv.conf"),
        Case::new(&["RES-07b"], "resolve", "DBT0306")
            .url("postgresql://{role}:{password}@dbhost4:{port}/{db}")
            .sh("echo 127.0.0.1 dbhost4 >>{dir}/hosts; chmod 640 {dir}/hosts")
            .undo_sh("chmod 644 {dir}/hosts")
            .under("chmod a+r {dir}/hosts"),
    ]);
}

#[test]
fn sockets() {
    Ground::new("").run(vec![
        Case::new(&["SOC-01"], "reach", "DBT0420")
            .url("postgresql://{role}:{password}@/{db}?host=/var/run/nosuchdir&port={port}"),
        Case::new(&["SOC-02"], "reach", "DBT0421")
            .by_socket()
            .make(|ground, _| ground.cluster.stop())
            .not_cured("the printed fix starts the system's own PostgreSQL"),
        Case::new(&["SOC-03"], "reach", "DBT0422").url("postgresql://{role}:{password}@/{db}?host={sock}&port=5433"),
        Case::new(&["SOC-03b"], "reach", "DBT0422")
            .url("postgresql://{role}:{password}@/{db}?host=/var/tmp&port={port}"),
        Case::new(&["SOC-04"], "reach", "DBT0423")
            .by_socket()
            .sh("mv {sock}/.s.PGSQL.{port} {sock}/gone")
            .undo_sh("rm -f {sock}/gone"),
        Case::new(&["SOC-05"], "reach", "DBT0424").by_socket().make(|ground, _| {
            let pid = ground.cluster.pid();
            super::site::sh(&format!("kill -9 {pid} $(pgrep -P {pid}) || true; sleep 1"));
        }),
        Case::new(&["SOC-06"], "reach", "DBT0425")
            .by_socket()
            .sh("chmod 700 {sock}")
            .undo_sh("setfacl -b {sock}; chmod 755 {sock}"),
        Case::new(&["SOC-07"], "reach", "DBT0426").by_socket().conf("unix_socket_permissions = 0700"),
        Case::new(&["SOC-09"], "reach", "DBT0434").by_socket().conf("unix_socket_directories = ''").undo(
            |ground, _| {
                ground.cluster.conf("");
                ground.cluster.restart();
            },
        ),
        Case::new(&["SOC-12"], "reach", "DBT0430")
            .url("postgresql://{role}:{password}@/{db}?host={sock}/x&port={port}")
            .sh("mkdir {sock}/x; chmod 755 {sock}/x; touch {sock}/x/.s.PGSQL.{port}")
            .undo_sh("rm -rf {sock}/x"),
    ]);
}

/// A server of another user's on a socket and a port of its own, as anybody can start one.
fn of_another_user(case: Case) -> Case {
    case.sh("mkdir -p /tmp/carol{port}; chmod 755 /tmp/carol{port}; chown nobody: /tmp/carol{port}; \
             runuser -u nobody -- perl -MIO::Socket::INET -MIO::Socket::UNIX -e 'my ($port, $dir) = @ARGV; \
               my $u = IO::Socket::UNIX->new(Local => qq($dir/.s.PGSQL.5439), Listen => 9) or die; \
               my $t = IO::Socket::INET->new(LocalAddr => qq(127.0.0.1:5439), Listen => 9, ReuseAddr => 1) or die; \
               chmod 0777, qq($dir/.s.PGSQL.5439); \
               while (my $c = $t->accept) { sysread $c, my $b, 8; syswrite $c, q(N); sleep 1 }' {port} /tmp/carol{port} \
               >/dev/null 2>&1 & echo $! >/tmp/carol{port}.pid; \
             until [ -S /tmp/carol{port}/.s.PGSQL.5439 ]; do sleep 0.1; done; sleep 0.3")
        .undo_sh("pkill -P $(cat /tmp/carol{port}.pid); rm -rf /tmp/carol{port} /tmp/carol{port}.pid")
}

/// What another user listens on is never a sure answer, and whose it is stands beside it.
#[test]
fn a_server_of_another_users_is_no_bait() {
    Ground::new("").run(vec![
        of_another_user(Case::new(&["NET-03c"], "reach", "DBT0402"))
            .make(|ground, _| ground.cluster.stop())
            .url("postgresql://{role}:{password}@127.0.0.1:7499/{db}")
            .fix_not_sure("user nobody")
            .not_cured("the one server is another user's"),
        of_another_user(Case::new(&["SOC-03c"], "reach", "DBT0422"))
            .make(|ground, _| ground.cluster.stop())
            .url("postgresql://{role}:{password}@/{db}?host={sock}&port=7499")
            .fix_not_sure("user nobody")
            .not_cured("the one server is another user's"),
        // with IPv6 off, the loopback of the other family is meant
        Case::new(&["NET-08c"], "reach", "DBT0416")
            .url("postgresql://{role}:{password}@[::1]:{port}/{db}")
            .sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.lo.disable_ipv6=1")
            .undo_sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0"),
        // of two servers the first is down: all is well, and somebody should know
        Case::new(&["NET-20"], "reach", "DBT0415")
            .url("postgresql://{role}:{password}@127.0.0.1:7497,127.0.0.1:{port}/{db}")
            .warns_only("there is no other server to start"),
        // /var/run is a link that leads somewhere: it is the socket that is missing
        Case::new(&["SOC-02b"], "reach", "DBT0421")
            .url("postgresql://{role}:{password}@/{db}?host=/tmp/linked{port}/in&port=7498")
            .sh("mkdir -p /tmp/real{port}/in; ln -sfn /tmp/real{port} /tmp/linked{port}")
            .make(|ground, _| ground.cluster.stop())
            .undo_sh("rm -rf /tmp/linked{port} /tmp/real{port}")
            .not_cured("there is no server of that port"),
    ]);
}
