//! Rows in and out.

use super::*;
use crate::database::Connection;

#[test]
fn rows_go_in_and_come_out_by_socket_and_tcp() {
    let cluster = Cluster::new("local all all trust\nhost all all all trust");
    prepare(&cluster);
    for settings in [by_socket(&cluster), by_tcp(cluster.port)] {
        let mut connection = connect(settings).unwrap();
        let id = connection.insert("déjà vu 🐘", "שלום\n'\"\\").unwrap();
        let next = connection.insert("second", "").unwrap();
        assert!(next > id);
        for _ in 0..4 {
            let page = connection.page(None, 1).unwrap();
            assert_eq!((page.rows[0].stuff.as_str(), page.more), ("second", true));
            let page = connection.page(Some(next), 20).unwrap();
            assert_eq!((page.rows[0].id, page.rows[0].stuff.as_str()), (id, "déjà vu 🐘"));
            assert_eq!(page.rows[0].things, "שלום\n'\"\\");
        }
        connection.ping().unwrap();
        assert!(connection.usable());
        println!("{:?}", connection.about());
    }
    println!("{}", cluster.log());
}
