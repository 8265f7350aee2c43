# A server behind nginx, which listens on 127.0.0.1:$1 and passes everything on by $2 (uwsgi or http) to the unix socket
# of the command that follows, where @SOCKET@ stands for its path. Both end with the process group.
port=$1
protocol=$2
shift 2
dir=$(mktemp -d)
chmod 755 "$dir"
left=$#
while [ "$left" -gt 0 ]; do
    word=$(printf '%s' "$1" | sed "s|@SOCKET@|$dir/socket|")
    shift
    set -- "$@" "$word"
    left=$((left - 1))
done
case $protocol in
http) pass='proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;' ;;
uwsgi)
    pass='uwsgi_pass server;'
    for pair in 'QUERY_STRING $query_string' 'REQUEST_METHOD $request_method' 'CONTENT_TYPE $content_type' \
        'CONTENT_LENGTH $content_length' 'REQUEST_URI $request_uri' 'PATH_INFO $document_uri' \
        'DOCUMENT_ROOT $document_root' 'SERVER_PROTOCOL $server_protocol' 'REQUEST_SCHEME $scheme' \
        'REMOTE_ADDR $remote_addr' 'REMOTE_PORT $remote_port' 'SERVER_PORT $server_port' 'SERVER_NAME $server_name'; do
        pass="$pass uwsgi_param $pair;"
    done
    ;;
esac
cat >"$dir/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $dir/pid; error_log $dir/error.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; client_max_body_size 0; client_body_buffer_size 1m;
  client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  upstream server { server unix:$dir/socket; keepalive 64; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:$port backlog=1024; location / { $pass } }
}
CONF
"$@" &
while [ ! -S "$dir/socket" ]; do
    kill -0 $! 2>/dev/null || exit 1
    sleep 0.02
done
exec nginx -c "$dir/nginx.conf"
