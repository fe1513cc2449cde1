-- A small ticket database in the style of OTRS, for examples and tests: the OTRS tables, as far as they are needed here,
-- translated to SQLite. 40 tickets, 5 queues and 5 states, one of each without a ticket. Load it with
--
--   sqlite3 tickets.db < tickets.sql
--
-- The tables with passwords and settings (users, customer_user, sysconfig_*) are there to be refused: a plugin sees them
-- only when an administrator's policy says so. The hashes in `pw` belong to no real password.

BEGIN;

CREATE TABLE users (
  id INTEGER PRIMARY KEY,
  login VARCHAR(200) NOT NULL UNIQUE,
  pw VARCHAR(128) NOT NULL,
  title VARCHAR(50),
  first_name VARCHAR(100) NOT NULL,
  last_name VARCHAR(100) NOT NULL,
  valid_id SMALLINT NOT NULL,
  create_time DATETIME NOT NULL,
  create_by INTEGER NOT NULL REFERENCES users (id),
  change_time DATETIME NOT NULL,
  change_by INTEGER NOT NULL REFERENCES users (id)
);

CREATE TABLE customer_user (
  id INTEGER PRIMARY KEY,
  login VARCHAR(200) NOT NULL UNIQUE,
  email VARCHAR(150) NOT NULL,
  customer_id VARCHAR(150) NOT NULL,
  pw VARCHAR(128),
  title VARCHAR(50),
  first_name VARCHAR(100) NOT NULL,
  last_name VARCHAR(100) NOT NULL,
  phone VARCHAR(150),
  fax VARCHAR(150),
  mobile VARCHAR(150),
  street VARCHAR(150),
  zip VARCHAR(200),
  city VARCHAR(200),
  country VARCHAR(200),
  comments VARCHAR(250),
  valid_id SMALLINT NOT NULL,
  create_time DATETIME NOT NULL,
  create_by INTEGER NOT NULL REFERENCES users (id),
  change_time DATETIME NOT NULL,
  change_by INTEGER NOT NULL REFERENCES users (id)
);

CREATE TABLE queue (
  id INTEGER PRIMARY KEY,
  name VARCHAR(200) NOT NULL UNIQUE,
  group_id INTEGER NOT NULL,
  unlock_timeout INTEGER,
  first_response_time INTEGER,
  first_response_notify SMALLINT,
  update_time INTEGER,
  update_notify SMALLINT,
  solution_time INTEGER,
  solution_notify SMALLINT,
  system_address_id SMALLINT NOT NULL,
  calendar_name VARCHAR(100),
  default_sign_key VARCHAR(100),
  salutation_id SMALLINT NOT NULL,
  signature_id SMALLINT NOT NULL,
  follow_up_id SMALLINT NOT NULL,
  follow_up_lock SMALLINT NOT NULL,
  comments VARCHAR(250),
  valid_id SMALLINT NOT NULL,
  create_time DATETIME NOT NULL,
  create_by INTEGER NOT NULL REFERENCES users (id),
  change_time DATETIME NOT NULL,
  change_by INTEGER NOT NULL REFERENCES users (id)
);

CREATE TABLE ticket_state (
  id INTEGER PRIMARY KEY,
  name VARCHAR(200) NOT NULL UNIQUE,
  comments VARCHAR(250),
  type_id SMALLINT NOT NULL,
  valid_id SMALLINT NOT NULL,
  create_time DATETIME NOT NULL,
  create_by INTEGER NOT NULL REFERENCES users (id),
  change_time DATETIME NOT NULL,
  change_by INTEGER NOT NULL REFERENCES users (id)
);

CREATE TABLE ticket (
  id INTEGER PRIMARY KEY,
  tn VARCHAR(50) NOT NULL UNIQUE,
  title VARCHAR(255),
  queue_id INTEGER NOT NULL REFERENCES queue (id),
  ticket_lock_id SMALLINT NOT NULL,
  type_id SMALLINT,
  service_id INTEGER,
  sla_id INTEGER,
  user_id INTEGER NOT NULL REFERENCES users (id),
  responsible_user_id INTEGER NOT NULL REFERENCES users (id),
  ticket_priority_id SMALLINT NOT NULL,
  ticket_state_id SMALLINT NOT NULL REFERENCES ticket_state (id),
  customer_id VARCHAR(150),
  customer_user_id VARCHAR(250),
  timeout INTEGER NOT NULL,
  until_time INTEGER NOT NULL,
  escalation_time INTEGER NOT NULL DEFAULT 0,
  escalation_update_time INTEGER NOT NULL DEFAULT 0,
  escalation_response_time INTEGER NOT NULL DEFAULT 0,
  escalation_solution_time INTEGER NOT NULL DEFAULT 0,
  archive_flag SMALLINT NOT NULL DEFAULT 0,
  create_time DATETIME NOT NULL,
  create_by INTEGER NOT NULL REFERENCES users (id),
  change_time DATETIME NOT NULL,
  change_by INTEGER NOT NULL REFERENCES users (id)
);

CREATE INDEX ticket_queue_id ON ticket (queue_id);
CREATE INDEX ticket_ticket_state_id ON ticket (ticket_state_id);

CREATE TABLE article (
  id INTEGER PRIMARY KEY,
  ticket_id BIGINT NOT NULL REFERENCES ticket (id),
  article_sender_type_id SMALLINT NOT NULL,
  communication_channel_id BIGINT NOT NULL,
  is_visible_for_customer SMALLINT NOT NULL,
  search_index_needs_rebuild SMALLINT NOT NULL DEFAULT 1,
  insert_fingerprint VARCHAR(64),
  create_time DATETIME NOT NULL,
  create_by INTEGER NOT NULL REFERENCES users (id),
  change_time DATETIME NOT NULL,
  change_by INTEGER NOT NULL REFERENCES users (id)
);

CREATE INDEX article_ticket_id ON article (ticket_id);

CREATE TABLE sysconfig_default (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name VARCHAR(250) NOT NULL UNIQUE,
  description BLOB NOT NULL,
  navigation VARCHAR(200) NOT NULL,
  is_invisible SMALLINT NOT NULL,
  is_readonly SMALLINT NOT NULL,
  is_required SMALLINT NOT NULL,
  is_valid SMALLINT NOT NULL,
  has_configlevel SMALLINT NOT NULL,
  user_modification_possible SMALLINT NOT NULL,
  user_modification_active SMALLINT NOT NULL,
  user_preferences_group VARCHAR(250),
  xml_content_raw BLOB NOT NULL,
  xml_content_parsed BLOB NOT NULL,
  xml_filename VARCHAR(250) NOT NULL,
  effective_value BLOB NOT NULL,
  is_dirty SMALLINT NOT NULL,
  exclusive_lock_guid VARCHAR(32) NOT NULL,
  exclusive_lock_user_id INTEGER REFERENCES users (id),
  exclusive_lock_expiry_time DATETIME,
  create_time DATETIME NOT NULL,
  create_by INTEGER NOT NULL REFERENCES users (id),
  change_time DATETIME NOT NULL,
  change_by INTEGER NOT NULL REFERENCES users (id)
);

CREATE TABLE sysconfig_modified (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  sysconfig_default_id INTEGER NOT NULL REFERENCES sysconfig_default (id),
  name VARCHAR(250) NOT NULL,
  user_id INTEGER REFERENCES users (id),
  is_valid SMALLINT NOT NULL,
  user_modification_active SMALLINT NOT NULL,
  effective_value BLOB NOT NULL,
  is_dirty SMALLINT NOT NULL,
  reset_to_default SMALLINT NOT NULL,
  create_time DATETIME NOT NULL,
  create_by INTEGER NOT NULL REFERENCES users (id),
  change_time DATETIME NOT NULL,
  change_by INTEGER NOT NULL REFERENCES users (id),
  UNIQUE (sysconfig_default_id, user_id)
);

INSERT INTO users (id, login, pw, title, first_name, last_name, valid_id, create_time, create_by, change_time, change_by) VALUES
  (1, 'root@localhost', '$2y$12$exampleexampleexampleeOhnot0a1real2hash3of4any5passwordA', NULL, 'Admin', 'OTRS', 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (2, 'jdoe', '$2y$12$exampleexampleexampleeOhnot0a1real2hash3of4any5passwordB', NULL, 'Jane', 'Doe', 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (3, 'msmith', '$2y$12$exampleexampleexampleeOhnot0a1real2hash3of4any5passwordC', NULL, 'Mark', 'Smith', 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1);

INSERT INTO customer_user (id, login, email, customer_id, pw, first_name, last_name, valid_id, create_time, create_by, change_time, change_by) VALUES
  (1, 'alice', 'alice@example.com', 'acme', '$2y$12$exampleexampleexampleeOhnot0a1real2hash3of4any5passwordD', 'Alice', 'Archer', 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (2, 'bob', 'bob@example.org', 'acme', '$2y$12$exampleexampleexampleeOhnot0a1real2hash3of4any5passwordE', 'Bob', 'Baker', 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (3, 'carol', 'carol@example.net', 'globex', '$2y$12$exampleexampleexampleeOhnot0a1real2hash3of4any5passwordF', 'Carol', 'Carter', 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1);

INSERT INTO queue (id, name, group_id, system_address_id, salutation_id, signature_id, follow_up_id, follow_up_lock, valid_id, create_time, create_by, change_time, change_by) VALUES
  (1, 'Postmaster', 1, 1, 1, 1, 1, 0, 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (2, 'Raw', 1, 1, 1, 1, 1, 0, 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (3, 'Sales & Orders', 1, 1, 1, 1, 1, 0, 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (4, 'Support', 1, 1, 1, 1, 1, 0, 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (5, 'Misc', 1, 1, 1, 1, 1, 0, 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1);

INSERT INTO ticket_state (id, name, type_id, valid_id, create_time, create_by, change_time, change_by) VALUES
  (1, 'new', 1, 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (2, 'open', 2, 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (3, 'pending reminder', 4, 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (4, 'closed successful', 3, 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (5, 'closed unsuccessful', 3, 1, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1);

INSERT INTO ticket (id, tn, title, queue_id, ticket_lock_id, type_id, user_id, responsible_user_id, ticket_priority_id, ticket_state_id, customer_id, customer_user_id, timeout, until_time, create_time, create_by, change_time, change_by) VALUES
  (1, '20261000001', 'Printer on floor 3 prints blank pages', 3, 1, 1, 2, 2, 2, 4, 'acme', 'bob', 0, 0, '2026-01-03 09:13:00', 1, '2026-01-03 09:13:00', 2),
  (2, '20261000002', 'Cannot log in after password change', 4, 1, 1, 3, 3, 3, 2, 'globex', 'carol', 0, 0, '2026-01-05 10:26:00', 1, '2026-01-05 10:26:00', 3),
  (3, '20261000003', 'Order 4711 arrived damaged', 2, 1, 1, 1, 1, 4, 2, 'acme', 'alice', 0, 0, '2026-01-07 11:39:00', 1, '2026-01-07 11:39:00', 1),
  (4, '20261000004', 'Invoice for March is missing', 2, 1, 1, 2, 2, 5, 3, 'acme', 'bob', 0, 0, '2026-01-09 12:52:00', 1, '2026-01-09 12:52:00', 2),
  (5, '20261000005', 'VPN disconnects every hour', 1, 1, 1, 3, 3, 1, 1, 'globex', 'carol', 0, 0, '2026-01-11 13:05:00', 1, '2026-01-11 13:05:00', 3),
  (6, '20261000006', 'Request: second monitor', 4, 1, 1, 1, 1, 2, 2, 'acme', 'alice', 0, 0, '2026-01-13 14:18:00', 1, '2026-01-13 14:18:00', 1),
  (7, '20261000007', 'Outlook keeps asking for the password', 4, 1, 1, 2, 2, 3, 4, 'acme', 'bob', 0, 0, '2026-01-15 15:31:00', 1, '2026-01-15 15:31:00', 2),
  (8, '20261000008', 'Price for 500 licences?', 4, 1, 1, 3, 3, 4, 2, 'globex', 'carol', 0, 0, '2026-01-17 16:44:00', 1, '2026-01-17 16:44:00', 3),
  (9, '20261000009', 'Website shows <b>old</b> opening hours', 3, 1, 1, 1, 1, 5, 3, 'acme', 'alice', 0, 0, '2026-01-19 08:57:00', 1, '2026-01-19 08:57:00', 1),
  (10, '20261000010', 'Backup job failed on host db2', 4, 1, 1, 2, 2, 1, 1, 'acme', 'bob', 0, 0, '2026-01-21 09:10:00', 1, '2026-01-21 09:10:00', 2),
  (11, '20261000011', 'Umlauts broken: Größe, Straße', 3, 1, 1, 3, 3, 2, 2, 'globex', 'carol', 0, 0, '2026-01-23 10:23:00', 1, '2026-01-23 10:23:00', 3),
  (12, '20261000012', 'Mail to "Müller & Söhne" bounced', 4, 1, 1, 1, 1, 3, 4, 'acme', 'alice', 0, 0, '2026-01-25 11:36:00', 1, '2026-01-25 11:36:00', 1),
  (13, '20261000013', 'New employee on Monday', 2, 1, 1, 2, 2, 4, 1, 'acme', 'bob', 0, 0, '2026-01-27 12:49:00', 1, '2026-01-27 12:49:00', 2),
  (14, '20261000014', 'Laptop battery swells', 2, 1, 1, 3, 3, 5, 4, 'globex', 'carol', 0, 0, '2026-02-01 13:02:00', 1, '2026-02-01 13:02:00', 3),
  (15, '20261000015', 'Return of order 4702', 1, 1, 1, 1, 1, 1, 2, 'acme', 'alice', 0, 0, '2026-02-03 14:15:00', 1, '2026-02-03 14:15:00', 1),
  (16, '20261000016', 'Firewall rule for port 8443', 4, 1, 1, 2, 2, 2, 2, 'acme', 'bob', 0, 0, '2026-02-05 15:28:00', 1, '2026-02-05 15:28:00', 2),
  (17, '20261000017', 'Coffee machine – out of order', 4, 1, 1, 3, 3, 3, 4, 'globex', 'carol', 0, 0, '2026-02-07 16:41:00', 1, '2026-02-07 16:41:00', 3),
  (18, '20261000018', 'Certificate expires in 5 days', 4, 1, 1, 1, 1, 4, 1, 'acme', 'alice', 0, 0, '2026-02-09 08:54:00', 1, '2026-02-09 08:54:00', 1),
  (19, '20261000019', 'Phone display stays dark', 3, 1, 1, 2, 2, 5, 4, 'acme', 'bob', 0, 0, '2026-02-11 09:07:00', 1, '2026-02-11 09:07:00', 2),
  (20, '20261000020', 'Access to share \\fs1\sales', 4, 1, 1, 3, 3, 1, 2, 'globex', 'carol', 0, 0, '2026-02-13 10:20:00', 1, '2026-02-13 10:20:00', 3),
  (21, '20261000021', 'Printer on floor 3 prints blank pages', 3, 1, 1, 1, 1, 2, 2, 'acme', 'alice', 0, 0, '2026-02-15 11:33:00', 1, '2026-02-15 11:33:00', 1),
  (22, '20261000022', 'Cannot log in after password change', 4, 1, 1, 2, 2, 3, 3, 'acme', 'bob', 0, 0, '2026-02-17 12:46:00', 1, '2026-02-17 12:46:00', 2),
  (23, '20261000023', 'Order 4711 arrived damaged', 2, 1, 1, 3, 3, 4, 1, 'globex', 'carol', 0, 0, '2026-02-19 13:59:00', 1, '2026-02-19 13:59:00', 3),
  (24, '20261000024', 'Invoice for March is missing', 2, 1, 1, 1, 1, 5, 4, 'acme', 'alice', 0, 0, '2026-02-21 14:12:00', 1, '2026-02-21 14:12:00', 1),
  (25, '20261000025', 'VPN disconnects every hour', 1, 1, 1, 2, 2, 1, 2, 'acme', 'bob', 0, 0, '2026-02-23 15:25:00', 1, '2026-02-23 15:25:00', 2),
  (26, '20261000026', 'Request: second monitor', 4, 1, 1, 3, 3, 2, 2, 'globex', 'carol', 0, 0, '2026-02-25 16:38:00', 1, '2026-02-25 16:38:00', 3),
  (27, '20261000027', 'Outlook keeps asking for the password', 4, 1, 1, 1, 1, 3, 3, 'acme', 'alice', 0, 0, '2026-02-27 08:51:00', 1, '2026-02-27 08:51:00', 1),
  (28, '20261000028', 'Price for 500 licences?', 4, 1, 1, 2, 2, 4, 1, 'acme', 'bob', 0, 0, '2026-03-01 09:04:00', 1, '2026-03-01 09:04:00', 2),
  (29, '20261000029', 'Website shows <b>old</b> opening hours', 3, 1, 1, 3, 3, 5, 2, 'globex', 'carol', 0, 0, '2026-03-03 10:17:00', 1, '2026-03-03 10:17:00', 3),
  (30, '20261000030', 'Backup job failed on host db2', 4, 1, 1, 1, 1, 1, 4, 'acme', 'alice', 0, 0, '2026-03-05 11:30:00', 1, '2026-03-05 11:30:00', 1),
  (31, '20261000031', 'Umlauts broken: Größe, Straße', 3, 1, 1, 2, 2, 2, 1, 'acme', 'bob', 0, 0, '2026-03-07 12:43:00', 1, '2026-03-07 12:43:00', 2),
  (32, '20261000032', 'Mail to "Müller & Söhne" bounced', 4, 1, 1, 3, 3, 3, 3, 'globex', 'carol', 0, 0, '2026-03-09 13:56:00', 1, '2026-03-09 13:56:00', 3),
  (33, '20261000033', 'New employee on Monday', 2, 1, 1, 1, 1, 4, 1, 'acme', 'alice', 0, 0, '2026-03-11 14:09:00', 1, '2026-03-11 14:09:00', 1),
  (34, '20261000034', 'Laptop battery swells', 2, 1, 1, 2, 2, 5, 2, 'acme', 'bob', 0, 0, '2026-03-13 15:22:00', 1, '2026-03-13 15:22:00', 2),
  (35, '20261000035', 'Return of order 4702', 1, 1, 1, 3, 3, 1, 4, 'globex', 'carol', 0, 0, '2026-03-15 16:35:00', 1, '2026-03-15 16:35:00', 3),
  (36, '20261000036', 'Firewall rule for port 8443', 4, 1, 1, 1, 1, 2, 1, 'acme', 'alice', 0, 0, '2026-03-17 08:48:00', 1, '2026-03-17 08:48:00', 1),
  (37, '20261000037', 'Coffee machine – out of order', 4, 1, 1, 2, 2, 3, 4, 'acme', 'bob', 0, 0, '2026-03-19 09:01:00', 1, '2026-03-19 09:01:00', 2),
  (38, '20261000038', 'Certificate expires in 5 days', 4, 1, 1, 3, 3, 4, 2, 'globex', 'carol', 0, 0, '2026-03-21 10:14:00', 1, '2026-03-21 10:14:00', 3),
  (39, '20261000039', 'Phone display stays dark', 3, 1, 1, 1, 1, 5, 2, 'acme', 'alice', 0, 0, '2026-03-23 11:27:00', 1, '2026-03-23 11:27:00', 1),
  (40, '20261000040', 'Access to share \\fs1\sales', 4, 1, 1, 2, 2, 1, 4, 'acme', 'bob', 0, 0, '2026-03-25 12:40:00', 1, '2026-03-25 12:40:00', 2);

INSERT INTO article (id, ticket_id, article_sender_type_id, communication_channel_id, is_visible_for_customer, search_index_needs_rebuild, create_time, create_by, change_time, change_by) VALUES
  (1, 1, 3, 1, 1, 0, '2026-01-03 09:13:00', 1, '2026-01-03 09:13:00', 1),
  (2, 1, 1, 1, 0, 0, '2026-01-03 09:13:00', 1, '2026-01-03 09:13:00', 1),
  (3, 2, 3, 1, 1, 0, '2026-01-05 10:26:00', 1, '2026-01-05 10:26:00', 1),
  (4, 3, 3, 1, 1, 0, '2026-01-07 11:39:00', 1, '2026-01-07 11:39:00', 1),
  (5, 3, 1, 1, 0, 0, '2026-01-07 11:39:00', 1, '2026-01-07 11:39:00', 1),
  (6, 4, 3, 1, 1, 0, '2026-01-09 12:52:00', 1, '2026-01-09 12:52:00', 1),
  (7, 5, 3, 1, 1, 0, '2026-01-11 13:05:00', 1, '2026-01-11 13:05:00', 1),
  (8, 5, 1, 1, 0, 0, '2026-01-11 13:05:00', 1, '2026-01-11 13:05:00', 1),
  (9, 6, 3, 1, 1, 0, '2026-01-13 14:18:00', 1, '2026-01-13 14:18:00', 1),
  (10, 7, 3, 1, 1, 0, '2026-01-15 15:31:00', 1, '2026-01-15 15:31:00', 1),
  (11, 7, 1, 1, 0, 0, '2026-01-15 15:31:00', 1, '2026-01-15 15:31:00', 1),
  (12, 8, 3, 1, 1, 0, '2026-01-17 16:44:00', 1, '2026-01-17 16:44:00', 1),
  (13, 9, 3, 1, 1, 0, '2026-01-19 08:57:00', 1, '2026-01-19 08:57:00', 1),
  (14, 9, 1, 1, 0, 0, '2026-01-19 08:57:00', 1, '2026-01-19 08:57:00', 1),
  (15, 10, 3, 1, 1, 0, '2026-01-21 09:10:00', 1, '2026-01-21 09:10:00', 1),
  (16, 11, 3, 1, 1, 0, '2026-01-23 10:23:00', 1, '2026-01-23 10:23:00', 1),
  (17, 11, 1, 1, 0, 0, '2026-01-23 10:23:00', 1, '2026-01-23 10:23:00', 1),
  (18, 12, 3, 1, 1, 0, '2026-01-25 11:36:00', 1, '2026-01-25 11:36:00', 1),
  (19, 13, 3, 1, 1, 0, '2026-01-27 12:49:00', 1, '2026-01-27 12:49:00', 1),
  (20, 13, 1, 1, 0, 0, '2026-01-27 12:49:00', 1, '2026-01-27 12:49:00', 1),
  (21, 14, 3, 1, 1, 0, '2026-02-01 13:02:00', 1, '2026-02-01 13:02:00', 1),
  (22, 15, 3, 1, 1, 0, '2026-02-03 14:15:00', 1, '2026-02-03 14:15:00', 1),
  (23, 15, 1, 1, 0, 0, '2026-02-03 14:15:00', 1, '2026-02-03 14:15:00', 1),
  (24, 16, 3, 1, 1, 0, '2026-02-05 15:28:00', 1, '2026-02-05 15:28:00', 1),
  (25, 17, 3, 1, 1, 0, '2026-02-07 16:41:00', 1, '2026-02-07 16:41:00', 1),
  (26, 17, 1, 1, 0, 0, '2026-02-07 16:41:00', 1, '2026-02-07 16:41:00', 1),
  (27, 18, 3, 1, 1, 0, '2026-02-09 08:54:00', 1, '2026-02-09 08:54:00', 1),
  (28, 19, 3, 1, 1, 0, '2026-02-11 09:07:00', 1, '2026-02-11 09:07:00', 1),
  (29, 19, 1, 1, 0, 0, '2026-02-11 09:07:00', 1, '2026-02-11 09:07:00', 1),
  (30, 20, 3, 1, 1, 0, '2026-02-13 10:20:00', 1, '2026-02-13 10:20:00', 1),
  (31, 21, 3, 1, 1, 0, '2026-02-15 11:33:00', 1, '2026-02-15 11:33:00', 1),
  (32, 21, 1, 1, 0, 0, '2026-02-15 11:33:00', 1, '2026-02-15 11:33:00', 1),
  (33, 22, 3, 1, 1, 0, '2026-02-17 12:46:00', 1, '2026-02-17 12:46:00', 1),
  (34, 23, 3, 1, 1, 0, '2026-02-19 13:59:00', 1, '2026-02-19 13:59:00', 1),
  (35, 23, 1, 1, 0, 0, '2026-02-19 13:59:00', 1, '2026-02-19 13:59:00', 1),
  (36, 24, 3, 1, 1, 0, '2026-02-21 14:12:00', 1, '2026-02-21 14:12:00', 1),
  (37, 25, 3, 1, 1, 0, '2026-02-23 15:25:00', 1, '2026-02-23 15:25:00', 1),
  (38, 25, 1, 1, 0, 0, '2026-02-23 15:25:00', 1, '2026-02-23 15:25:00', 1),
  (39, 26, 3, 1, 1, 0, '2026-02-25 16:38:00', 1, '2026-02-25 16:38:00', 1),
  (40, 27, 3, 1, 1, 0, '2026-02-27 08:51:00', 1, '2026-02-27 08:51:00', 1),
  (41, 27, 1, 1, 0, 0, '2026-02-27 08:51:00', 1, '2026-02-27 08:51:00', 1),
  (42, 28, 3, 1, 1, 0, '2026-03-01 09:04:00', 1, '2026-03-01 09:04:00', 1),
  (43, 29, 3, 1, 1, 0, '2026-03-03 10:17:00', 1, '2026-03-03 10:17:00', 1),
  (44, 29, 1, 1, 0, 0, '2026-03-03 10:17:00', 1, '2026-03-03 10:17:00', 1),
  (45, 30, 3, 1, 1, 0, '2026-03-05 11:30:00', 1, '2026-03-05 11:30:00', 1),
  (46, 31, 3, 1, 1, 0, '2026-03-07 12:43:00', 1, '2026-03-07 12:43:00', 1),
  (47, 31, 1, 1, 0, 0, '2026-03-07 12:43:00', 1, '2026-03-07 12:43:00', 1),
  (48, 32, 3, 1, 1, 0, '2026-03-09 13:56:00', 1, '2026-03-09 13:56:00', 1),
  (49, 33, 3, 1, 1, 0, '2026-03-11 14:09:00', 1, '2026-03-11 14:09:00', 1),
  (50, 33, 1, 1, 0, 0, '2026-03-11 14:09:00', 1, '2026-03-11 14:09:00', 1),
  (51, 34, 3, 1, 1, 0, '2026-03-13 15:22:00', 1, '2026-03-13 15:22:00', 1),
  (52, 35, 3, 1, 1, 0, '2026-03-15 16:35:00', 1, '2026-03-15 16:35:00', 1),
  (53, 35, 1, 1, 0, 0, '2026-03-15 16:35:00', 1, '2026-03-15 16:35:00', 1),
  (54, 36, 3, 1, 1, 0, '2026-03-17 08:48:00', 1, '2026-03-17 08:48:00', 1),
  (55, 37, 3, 1, 1, 0, '2026-03-19 09:01:00', 1, '2026-03-19 09:01:00', 1),
  (56, 37, 1, 1, 0, 0, '2026-03-19 09:01:00', 1, '2026-03-19 09:01:00', 1),
  (57, 38, 3, 1, 1, 0, '2026-03-21 10:14:00', 1, '2026-03-21 10:14:00', 1),
  (58, 39, 3, 1, 1, 0, '2026-03-23 11:27:00', 1, '2026-03-23 11:27:00', 1),
  (59, 39, 1, 1, 0, 0, '2026-03-23 11:27:00', 1, '2026-03-23 11:27:00', 1),
  (60, 40, 3, 1, 1, 0, '2026-03-25 12:40:00', 1, '2026-03-25 12:40:00', 1);

INSERT INTO sysconfig_default (id, name, description, navigation, is_invisible, is_readonly, is_required, is_valid, has_configlevel, user_modification_possible, user_modification_active, xml_content_raw, xml_content_parsed, xml_filename, effective_value, is_dirty, exclusive_lock_guid, create_time, create_by, change_time, change_by) VALUES
  (1, 'ProductName', 'The name of this ticket system.', 'Core', 0, 0, 0, 1, 0, 0, 0, '', '', 'Framework.xml', 'OTRS Example', 0, '0', '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (2, 'DefaultLanguage', 'The language of the front end.', 'Frontend', 0, 0, 0, 1, 0, 0, 0, '', '', 'Framework.xml', 'en', 0, '0', '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (3, 'TimeZone::Default', 'The time zone of the system.', 'Core', 0, 0, 0, 1, 0, 0, 0, '', '', 'Framework.xml', 'Europe/Berlin', 0, '0', '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1),
  (4, 'SMTP::Password', 'The password of the mail server: no plugin may ever read it.', 'Core::Email', 0, 0, 0, 1, 0, 0, 0, '', '', 'Framework.xml', 'not-a-real-secret', 0, '0', '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1);

INSERT INTO sysconfig_modified (sysconfig_default_id, name, user_id, is_valid, user_modification_active, effective_value, is_dirty, reset_to_default, create_time, create_by, change_time, change_by) VALUES
  (1, 'ProductName', NULL, 1, 0, 'GoatFlow Example', 0, 0, '2026-01-01 00:00:00', 1, '2026-01-01 00:00:00', 1);

COMMIT;
