//! SQLite's part of the catalogue: what each id means.

use crate::diagnosis::engine::kind::Entry;

macro_rules! entries {
    ($($id:ident = $text:literal: $title:literal, $meaning:literal, $recognised:literal, $fixes:literal;)*) => {
        $(pub const $id: &str = $text;)*
        /// Every id of SQLite.
        pub static ENTRIES: &[Entry] = &[
            $(Entry { id: $text, title: $title, meaning: $meaning, recognised: $recognised, fixes: $fixes },)*
        ];
    };
}

entries! {
    MISSING_DIRECTORY = "DBT0350": "The directory of the SQLite file does not exist",
        "The path in DBTestDatabase leads through a directory that is not there.",
        "stat of each part of the path: the first that gives ENOENT is a directory on the way.",
        "Make the directory for the server's user, and the database in it; or correct the path.";
    MISSING_FILE = "DBT0351": "The SQLite file does not exist",
        "The directory is there, the file is not. A check never creates it, and neither does the page: a typing error would make an empty database.",
        "stat of the path gives ENOENT; its directory exists.",
        "Create the table with sqlite3 as the server's user (or httpd -t -D DBTEST_INIT); or correct the path. Names in the directory that are nearly the same are shown.";
    NOT_SEARCHABLE = "DBT0352": "A directory on the way to the file may not be entered",
        "To reach a file, a process needs the right to search (x) on every directory above it. A home directory usually grants it to nobody else.",
        "access(X_OK) of each directory as the server's user: the first that gives EACCES, where its modes say no.",
        "Grant the search right on that directory, or move the database to a place made for it, such as /var/lib.";
    NOT_A_DIRECTORY = "DBT0353": "A part of the path is a file, not a directory",
        "Something on the way that should be a directory is something else.",
        "ENOTDIR; stat of that part.",
        "Correct the path in DBTestDatabase.";
    BROKEN_LINK = "DBT0354": "A symbolic link on the way leads nowhere",
        "The link's target does not exist, or links lead round in a circle.",
        "lstat finds a link, stat of it gives ENOENT or ELOOP.",
        "Make the link point to the database again, or name the database itself.";
    PATH_TOO_LONG = "DBT0356": "The path is longer than the system allows",
        "A name has at most 255 bytes, a path 4095.",
        "ENAMETOOLONG.",
        "Shorten the path.";
    PRIVATE_TMP = "DBT0357": "httpd has a /tmp of its own",
        "systemd's PrivateTmp= gives the service a /tmp and /var/tmp that nobody else sees: a file that a shell shows in /tmp is not there for httpd.",
        "/proc/self/mountinfo has a mount on /tmp or /var/tmp whose root holds systemd-private-, and the path is below it.",
        "Keep the database elsewhere, /var/lib for instance; leave PrivateTmp on.";
    HIDDEN = "DBT0358": "The path is hidden by a mount that only httpd sees",
        "systemd's ProtectHome=, InaccessiblePaths= or TemporaryFileSystem= put an empty or closed directory over the real one.",
        "/proc/self/mountinfo: the first missing part lies on a tmpfs or an inaccessible mount of its own.",
        "Move the database out of the hidden place, or allow it with BindPaths= in the unit.";
    NOT_MOUNTED = "DBT0359": "The disk or share with the SQLite file is not mounted",
        "/etc/fstab says that a file system is mounted on the way to the file, and it is not. A database that were made there now would be a second one, hidden as soon as the right one is mounted.",
        "stat of the path gives ENOENT; /etc/fstab has a mount point above it that /proc/self/mountinfo has not.",
        "Mount it, and find out why it was not (systemctl --failed, dmesg).";
    IS_A_DIRECTORY = "DBT0450": "The path is a directory",
        "DBTestDatabase names a directory; SQLite needs the file in it.",
        "stat: a directory.",
        "Add the name of the file to DBTestDatabase.";
    NOT_A_FILE = "DBT0451": "The path is no regular file",
        "A named pipe, a socket or a device cannot be an SQLite database.",
        "stat: its type.",
        "Correct the path in DBTestDatabase.";
    NOT_READABLE = "DBT0452": "The server's user may not read the file",
        "The modes of the database file do not let the server's user read it.",
        "access(R_OK) gives EACCES, and the modes say so too.",
        "Give the file to a group that the server's user is in, with the right to read and write.";
    NOT_WRITABLE = "DBT0453": "The server's user may read the file but not write it",
        "SQLite opens such a file for reading without a word, and every INSERT fails with \"attempt to write a readonly database\".",
        "sqlite3_db_readonly() is 1 right after opening; access(W_OK) gives EACCES, and the modes say so too.",
        "Give the file and its directory to a group that the server's user is in, with the right to write.";
    DIRECTORY_NOT_WRITABLE = "DBT0454": "The server's user may not create files in the directory of the database",
        "SQLite keeps a journal (or a write-ahead log) beside the database while it writes, and in WAL mode even while it reads. Without the right to create files in the directory nothing can be written.",
        "Extended code 1544 (or 14, 2570, 776) with a directory for which access(W_OK|X_OK) gives EACCES.",
        "Give the directory to a group that the server's user is in, with the right to write; never 777.";
    SIDE_FILE = "DBT0455": "A file that SQLite keeps beside the database belongs to somebody else",
        "A -wal, -shm or -journal was made by another user (root, a deploying user), and the server's user may not use it.",
        "The file exists, and access(R_OK|W_OK) on it gives EACCES.",
        "Give it to the server's user. Never delete it: it may hold rows.";
    ATTRIBUTE = "DBT0456": "An attribute of the file or directory forbids to change it",
        "chattr +i makes a file or directory unchangeable even for root, chattr +a lets it grow only.",
        "statx: STATX_ATTR_IMMUTABLE or STATX_ATTR_APPEND; EPERM where modes would give EACCES.",
        "Take the attribute away with chattr.";
    ACL_MASK = "DBT0457": "The mask of an access control list takes away what the list grants",
        "The list names the server's user, but chmod on a file with a list changes its mask, which limits every named user.",
        "The list (system.posix_acl_access) would allow it without its mask.",
        "Grant it again with setfacl, which computes the mask anew.";
    READ_ONLY_MOUNT = "DBT0458": "The file system is mounted read-only",
        "Mounted so, or made so by the kernel after an error of the disk.",
        "statvfs: ST_RDONLY; access(W_OK) gives EROFS; /proc/self/mountinfo.",
        "Look at dmesg for errors of the disk first; then mount it read-write again.";
    READ_ONLY_VIEW = "DBT0459": "The place is read-only for httpd alone",
        "systemd's ProtectSystem= or ReadOnlyPaths=, or a bind mount of a container, makes it read-only in httpd's own view; a root shell can write there.",
        "/proc/self/mountinfo: the mount is read-only, its file system is not.",
        "Allow it with ReadWritePaths= in the unit, and restart.";
    SELINUX = "DBT0460": "SELinux refuses what the modes allow",
        "The domain of httpd may only use files with labels made for it.",
        "Modes, lists and mounts say yes, the kernel says EACCES, and this process has a SELinux context that is confined.",
        "Label the directory for httpd with semanage fcontext and restorecon, or set the boolean for this kind of file system. Never switch SELinux off.";
    REFUSED = "DBT0461": "Refused though the modes allow it",
        "AppArmor, another security module, or the server of a network file system (root_squash) refuses.",
        "Modes and lists say yes, access(2) says EACCES, SELinux does not enforce.",
        "AppArmor: allow the directory in the local part of the profile. Otherwise look at the kernel's log and the file server's export.";
    NO_INODES = "DBT0462": "The file system has no inode left",
        "There is room for data but not for one more file, and SQLite must create its journal.",
        "statvfs: f_favail is 0; SQLite says \"unable to open database file\".",
        "Delete files that are not needed; a tmpfs can be given more.";
    TOO_MANY_FILES = "DBT0463": "The process may not open one more file",
        "The limit on open files of this process is reached.",
        "errno EMFILE; /proc/self/limits.",
        "Raise LimitNOFILE= of the unit (or ulimit -n) and restart.";
    STICKY = "DBT0464": "A file beside the database belongs to somebody else, in a directory that keeps its files from others",
        "In a sticky directory such as /tmp only the owner of a file may remove it, and SQLite must remove the journal.",
        "The directory has the sticky bit, the -journal, -wal or -shm has another owner.",
        "Give the file to the server's user; better, keep the database in a directory of its own.";
    GROUP_TOO_LATE = "DBT0467": "The server's user is in the right group since after httpd was started",
        "A process has the groups that it was started with; a group that was added later counts after a restart, not after a reload.",
        "access(2) says EACCES; /etc/group has the server's user in the file's group, the process does not have it.",
        "Restart httpd.";
    NO_MODES = "DBT0466": "The file system keeps no owners and modes",
        "FAT, exFAT, NTFS and shares of Windows show every file as that of whoever mounted them; chown and chmod say that all went well and change nothing.",
        "/proc/self/mountinfo: the kind of file system; of FUSE's kinds, file and directory have the same owner and mode.",
        "Keep the database on a file system of Linux, or mount this one for the server's user (uid=, gid=, umask=).";
    ONLY_THE_FILE = "DBT0468": "Only the file is mounted, not its directory",
        "A container that was given the database as one file keeps the journal or the write-ahead log in its own layer: other programs do not see them, and they are gone with the container, with rows that were committed.",
        "/proc/self/mountinfo: the database file is a mount of its own.",
        "Mount the directory of the database instead of the file.";
    CANNOT_OPEN = "DBT0469": "SQLite cannot open the file, and the path shows no reason",
        "Every part of the path can be used as far as can be seen from outside.",
        "Code 14 or 8 though stat and access of each part succeed.",
        "Read what came back; look at the kernel's log.";
    EMPTY = "DBT0550": "The file is empty",
        "A file of 0 bytes is a database without tables to SQLite: the mark of a typing error in a path, a failed copy, or touch.",
        "Its size is 0.",
        "Create the table in it, or name the file that was meant.";
    NOT_A_DATABASE = "DBT0551": "The file is no SQLite database",
        "Its first bytes are those of something else.",
        "Code 26; the first 16 bytes are not \"SQLite format 3\\0\".",
        "Put the real database in its place: git lfs pull, gunzip, a binary upload, or read the dump with sqlite3.";
    ENCRYPTED = "DBT0552": "The file looks encrypted",
        "Its bytes have no order at all: a database of SQLCipher or SEE, which the system's SQLite cannot read.",
        "Code 26; the first kilobyte has the entropy of noise.",
        "Decrypt it with the program that encrypted it (sqlcipher_export).";
    NEWER_FORMAT = "DBT0553": "The file's format is newer than this SQLite",
        "The header asks for a version of reading or writing that this library does not know.",
        "Byte 18 or 19 of the header is greater than 2.",
        "Use a newer libsqlite3, or write the file with an older one.";
    TRUNCATED = "DBT0554": "The file is shorter than its header says",
        "A copy that was cut off, or a copy of a database in use.",
        "Header: pages times page size is more than the file's size.",
        "Copy it again with sqlite3's .backup, or restore a backup.";
    NEWER_SCHEMA = "DBT0555": "The schema uses what this SQLite does not know",
        "The file is healthy, but something in its schema was made by a newer version (STRICT before 3.37, generated columns before 3.31, RAISE with an expression before 3.47).",
        "Code 11; with PRAGMA writable_schema, which overlooks the schema, quick_check is ok; one statement of sqlite_master (table, index, view or trigger) cannot be prepared.",
        "Use a newer libsqlite3, or make the object that is named without what is new, with the SQLite that made it. Nothing is to be rescued.";
    FOREIGN_WAL = "DBT0557": "The write-ahead log beside the database belongs to another file",
        "The database was replaced and its old -wal was left: SQLite mixes the pages of both.",
        "Code 11; without the -wal (opened as immutable) the same file passes quick_check.",
        "Put the -wal and -shm aside and restart. Replace a database with sqlite3's .restore, or together with all its files.";
    DAMAGED = "DBT0556": "The database is damaged",
        "Pages of the file do not fit together: a copy of a database in use, a write without locks, a failing disk.",
        "Code 11, or PRAGMA quick_check says something else than ok.",
        "Restore a backup, or read out what can be read with sqlite3's .dump.";
    OPENED_READ_ONLY = "DBT0950": "SQLite opened the database for reading only",
        "Writing was asked for, and SQLite fell back to reading without saying why.",
        "sqlite3_db_readonly() is 1, and no part of the path shows a reason.",
        "Read what came back; look at the kernel's log.";
    NO_TABLE = "DBT1050": "The table does not exist",
        "The database has no table of the name in DBTestTable.",
        "sqlite_master has no such table or view.",
        "Create it, or name the table that was meant with DBTestTable.";
    NO_COLUMN = "DBT1051": "The table lacks a column",
        "The table must have the columns id, stuff and things.",
        "PRAGMA table_xinfo does not list it.",
        "Add it with ALTER TABLE.";
    ID_NOT_ASSIGNED = "DBT1052": "SQLite does not assign the id",
        "Only a column declared exactly INTEGER PRIMARY KEY is the row's number. INT, SERIAL or BIGINT PRIMARY KEY stay NULL in every new row, without an error.",
        "PRAGMA table_info and index_list: id is not another name of the rowid.",
        "Make the table anew with id INTEGER PRIMARY KEY and copy its rows.";
    NOT_A_TABLE = "DBT1053": "What has the table's name is no table",
        "A view takes no rows without an INSTEAD OF trigger; a virtual table belongs to an extension.",
        "sqlite_master: its type.",
        "Name a table with DBTestTable.";
    GENERATED = "DBT1054": "A column is computed from others",
        "Nothing can be inserted into a generated column.",
        "PRAGMA table_xinfo: hidden is 2 or 3.",
        "Make the table anew with an ordinary column.";
    SCHEMA_NAME = "DBT1057": "An SQLite file has no schemas",
        "DBTestTable names a schema, which only PostgreSQL has; SQLite's own is main.",
        "DBTestTable has a dot.",
        "Write the table's name alone.";
    SCHEMA_REFUSED = "DBT1058": "A statement on the table is refused",
        "Table and columns are there, and SQLite still cannot make sense of the statement: something that it leads to is missing.",
        "Code 1 at the step schema, with all columns present.",
        "Read what came back.";
    READ_LOCKED = "DBT1250": "Another process has locked the database, and it cannot be read",
        "A program holds an exclusive lock: a transaction that is being written, or locking_mode=EXCLUSIVE.",
        "Code 5 on SELECT; /proc/locks names the process, or the kernel tells that one holds it which cannot be seen from here (another container).",
        "End the transaction, or the program.";
    NOT_TEXT = "DBT1251": "A row holds something else than text",
        "SQLite lets any column hold any type. The page shows such a value as well as it can; PostgreSQL would refuse it.",
        "typeof() of the newest rows.",
        "Turn the values into text with CAST.";
    HOT_JOURNAL = "DBT0465": "An interrupted transaction must be rolled back first, and this process may not",
        "A program ended while it wrote. The next to open the database rolls its journal back, and must be able to write the database and delete the journal.",
        "Extended code 776 (READONLY_ROLLBACK) or 2570 (IOERR_DELETE) on reading; a -journal lies beside the database.",
        "Give the server's user the rights to write the file and its directory. Never delete the journal: the database is damaged without it.";
    READ_FAILED = "DBT1253": "The disk gave an error while reading",
        "The operating system could not read or lock the file.",
        "Code 10 with its extended part on SELECT.",
        "Look at dmesg; a network file system must be mounted again.";
    NO_SHARED_MEMORY = "DBT1254": "The file system cannot share memory, which WAL mode needs",
        "In WAL mode all processes share the -shm file by mmap; network file systems and some container mounts cannot.",
        "Extended code 5386 (IOERR_SHMMAP) or a kin of it.",
        "Leave WAL mode (PRAGMA journal_mode=DELETE), or move the database to a local disk.";
    WRITE_LOCKED = "DBT1350": "Another process has locked the database, and it cannot be written",
        "A program holds a write transaction, or reads in rollback mode, for longer than DBTestTimeout query=.",
        "Code 5 on BEGIN IMMEDIATE or INSERT; /proc/locks names the process.",
        "End the transaction, or the program; WAL mode lets readers and the writer work at the same time.";
    NOT_NULL = "DBT1351": "The table demands a value for a column that the module does not fill",
        "A column is NOT NULL without a default.",
        "Extended code 1299; PRAGMA table_xinfo names the column.",
        "Make the table anew with a default for it.";
    CHECK = "DBT1352": "A CHECK of the table refuses an ordinary row",
        "The check's row was short plain text, and still refused.",
        "Extended code 275; without CHECK constraints the same row goes in.",
        "Change the rule if it is wrong; rows that obey it are still accepted.";
    CONSTRAINT = "DBT1353": "A constraint of the table refuses the row",
        "UNIQUE, FOREIGN KEY or the type of a STRICT table.",
        "The extended code: 2067 UNIQUE, 787 FOREIGN KEY, 3091 type.",
        "Change the constraint, or write rows that obey it.";
    TRIGGER_REFUSES = "DBT1354": "A trigger of the table refuses every row",
        "A trigger that runs on INSERT raises an error, or uses a table that does not exist.",
        "Extended code 1811 or 1; without the trigger the same row goes in (tried in a transaction that was rolled back).",
        "Repair or drop the trigger.";
    TRIGGER_IGNORES = "DBT1358": "A trigger silently drops every row",
        "RAISE(IGNORE) makes an INSERT succeed without a row.",
        "sqlite3_changes() is 0 after an INSERT that succeeded.",
        "Drop the trigger.";
    DISK_FULL = "DBT1355": "The disk is full",
        "There is no room for the journal or the log; reading may still work.",
        "Code 13, or 4874 or 778 with ENOSPC; statvfs: f_bavail is (nearly) 0.",
        "Free space where the database is.";
    DATABASE_FULL = "DBT1356": "The database may not grow, though the disk has room",
        "PRAGMA max_page_count, or the greatest size that SQLite knows.",
        "Code 13 with free space; page_count equals max_page_count.",
        "Delete rows and VACUUM, or raise max_page_count.";
    IDS_EXHAUSTED = "DBT1357": "AUTOINCREMENT has given its last id",
        "A row has the greatest number there is, 9223372036854775807, and AUTOINCREMENT gives only greater ones. SQLite says \"database or disk is full\".",
        "Code 13 with free space; max(id) or sqlite_sequence is 2^63-1.",
        "Give that row another number, and set sqlite_sequence back.";
    SIZE_LIMIT = "DBT1359": "A limit on the size of files or a quota is reached",
        "ulimit -f, LimitFSIZE= or a disk quota of the server's user.",
        "Extended code 778 with EFBIG or EDQUOT; /proc/self/limits.",
        "Raise the limit or the quota.";
    WRITE_FAILED = "DBT1360": "The disk gave an error while writing",
        "The operating system could not write, sync or lock the file.",
        "Code 10 with its extended part on INSERT.",
        "Look at dmesg; a network file system must be mounted again.";
    NO_TEMP = "DBT1361": "SQLite finds no directory for temporary files",
        "Large sorts need one; none of its places is writable for the server's user.",
        "Extended code 6410.",
        "Set SQLITE_TMPDIR in httpd's environment to a directory of the server's user.";
    NO_LOCKS = "DBT1362": "The file system does not lock",
        "A network file system without its lock service makes every lock fail, or says that somebody holds one when nobody does.",
        "Extended code 3850 or 2058, or code 5 with no holder in /proc/locks on a network file system.",
        "Keep the database on a local disk.";
    WRITE_REFUSED = "DBT1363": "SQLite refuses to write",
        "The file can be read, and writing fails for a reason that has no entry of its own.",
        "Code 8 though file, directory and the files beside it can be written.",
        "Read what came back.";
    INDEX_BROKEN = "DBT1364": "An index of the table uses what this SQLite does not have",
        "A program that brings its own functions or collations made an index with them; nobody else can insert.",
        "Code 1 on INSERT; without the index the same row goes in (tried in a transaction that was rolled back).",
        "Drop the index, or let only that program write.";
    REPLACED = "DBT1450": "The open file is not the file at its path",
        "The database was removed or replaced while httpd had it open; rows written to the old one would be lost.",
        "Extended code 1032, or another inode than the one that was opened.",
        "Restart httpd; replace a database in use with sqlite3's .restore instead.";
    NEARLY_FULL = "DBT1451": "Writing works, and the disk is nearly full",
        "Fewer than a few megabytes are left for the journal, the log and new rows.",
        "statvfs: f_bavail.",
        "Free space before it runs out.";
    TWO_NAMES = "DBT1454": "The database file has more than one name",
        "SQLite names the journal and the write-ahead log after the database: programs that open it by different names (hard links) do not see each other's, and damage the file in time.",
        "stat: st_nlink is greater than 1.",
        "Keep one name; others can be symbolic links, which SQLite follows to the real name.";
    LOG_TOO_LARGE = "DBT1455": "The write-ahead log is many times as large as the database",
        "What is in the log cannot be put into the file while somebody reads an old state; it grows, and reading gets slower.",
        "The size of the -wal; /proc/locks: who holds a read mark in the -shm.",
        "End the transaction that stays open; the log is then put into the file by itself.";
    IN_MEMORY = "DBT1456": "The database lies in memory",
        "A tmpfs is empty after a restart of the machine.",
        "/proc/self/mountinfo: tmpfs or ramfs.",
        "Keep it on a disk if its rows are to last.";
    WAL_ON_NETWORK = "DBT1453": "The database lies on a network file system",
        "SQLite's locks are only as good as those of the file system; in WAL mode all processes must run on one machine.",
        "/proc/self/mountinfo: the kind of file system.",
        "Keep the database on a local disk.";
}
