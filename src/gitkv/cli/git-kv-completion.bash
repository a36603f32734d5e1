# Completion of `git kv …` for bash: source this file after git's own completion, which calls _git_kv for us.
# Keys are completed from the local replica, without the network, at most 200 of them.

# A key may hold anything but control characters, so each candidate is quoted as the word on the line is: what others wrote is
# never run. Left out: keys that would be read as options, and those that turn the reading direction of the terminal.

# Sets `typed` to what the shell would make of the word `cur`, `quote` to the quote that is open in it, and `breaks` to the
# number of characters in it at which readline begins a word of its own; `kept` to the last of them if it is part of that word. Fails for a word that is quoted in another way.
_git_kv_unquote ()
{
	local rest="$cur" char
	typed="" quote="" breaks=0 kept=""
	case "$rest" in
	[\'\"]*) quote="${rest:0:1}" rest="${rest:1}" ;;
	esac
	while [ -n "$rest" ]; do
		char="${rest:0:1}" rest="${rest:1}"
		case "$quote$char" in
		\\) char="${rest:0:1}" rest="${rest:1}" ;;
		\"\\) case "$rest" in [\$\`\"\\]*) char="${rest:0:1}" rest="${rest:1}" ;; esac ;;
		[\'\"\$\`] | \'\' | \"[\"\$\`]) return 1 ;;
		[:=@]) [[ "$COMP_WORDBREAKS" == *"$char"* ]] && breaks=$((breaks + 1)) kept="${char#[:=]}" ;;
		esac
		typed+="$char"
	done
}

# Sets `word` to `key` as it has to stand on the line. Fails where it cannot stand there.
_git_kv_quote ()
{
	local special rest="$key" last=""
	if [ -z "$quote" ]; then
		printf -v word %q "$key"
		[[ "$word" != *\$\'* ]]
		return
	fi
	# readline closes the quote, unless the last character is one: a quote at the end goes outside.
	[ "${key: -1}" != "$quote" ] || rest="${key%?}" last="$quote\\$quote"
	case "$quote" in
	\') word="${rest//\'/\'\\\'\'}$last" ;;
	\")
		word="${rest//\\/\\\\}"
		for special in \" \$ \`; do word="${word//"$special"/\\$special}"; done
		word+="$last"
		[[ "$word" != *!* ]]
		;;
	esac
}

_git_kv_keys ()
{
	local ns="$1" typed quote breaks kept key word at
	_git_kv_unquote || return
	while IFS= read -r key; do
		case "$key" in
		-*) [ "$2" = operands ] || continue ;;
		*$'\xd8\x9c'* | *$'\xe2\x80\x8e'* | *$'\xe2\x80\x8f'* | *$'\xe2\x80\xa8'* | *$'\xe2\x80\xa9'*) continue ;;
		*$'\xe2\x80\xaa'* | *$'\xe2\x80\xab'* | *$'\xe2\x80\xac'* | *$'\xe2\x80\xad'* | *$'\xe2\x80\xae'*) continue ;;
		*$'\xe2\x81\xa6'* | *$'\xe2\x81\xa7'* | *$'\xe2\x81\xa8'* | *$'\xe2\x81\xa9'*) continue ;;
		esac
		_git_kv_quote || continue
		# readline keeps what stands before its own word.
		for ((at = 0; at < breaks; at++)); do word="${word#*[:=@]}"; done
		word="$kept$word"
		[ -n "$quote" ] || word+=" "
		COMPREPLY+=("$word")
	done < <(git kv --ns "$ns" list --read-from=local --limit 200 ${typed:+"--prefix=$typed"} 2>/dev/null)
}

_git_kv ()
{
	local commands="init remote get set del mset edit mv cp revert cas expire list history diff log blame snapshot import stat du fetch verify wait whoami status doctor policy stargate help"
	local word verb="" ns="main" previous="" operands=""
	local cur words cword
	_get_comp_words_by_ref -n "=:@" cur words cword
	for word in "${words[@]:2:$((cword - 2))}"; do
		[ "$previous" = --ns ] && ns="$word"
		[ "$word" = -- ] && operands=operands
		case "$previous,$word" in
		--ns,*|-C,*|*,-*) ;;
		*) [ -z "$verb" ] && verb="$word" ;;
		esac
		previous="$word"
	done
	case "$verb,$operands$cur" in
	,-*) __gitcomp "--ns --json -C --debug --version --help" ;;
	,*) __gitcomp "$commands" ;;
	help,*) __gitcomp "$commands" ;;
	remote,-*) __gitcomp "--remote --gateway-key --all-chunks" ;;
	remote,*) __gitcomp "setup repair" ;;
	stargate,*) __gitcomp "init serve" ;;
	get,-*) __gitcomp "--prefix --range --output --null --output-dir --at --read-from= --allow-expired --json" ;;
	set,-*) __gitcomp "--file --ctype --ttl --expires --if-absent --if-match --expect-tree --message --dry-run --json" ;;
	cas,-*) __gitcomp "--expect-blob --expect-tree --ctype --ttl --expires --message --dry-run --json" ;;
	del,-*) __gitcomp "--missing-ok --message --dry-run --json" ;;
	mset,-*) __gitcomp "--file --message --dry-run --json" ;;
	expire,-*) __gitcomp "--prefix --dry-run --message --json" ;;
	list,-*) __gitcomp "--prefix --long --null --tree --delimiter --limit --after --at --read-from= --allow-expired --json" ;;
	history,-*) __gitcomp "--limit --at --json" ;;
	log,-*) __gitcomp "--prefix --author --signer --since --until --limit --at --json" ;;
	stat,-*) __gitcomp "--at --read-from= --allow-expired --json" ;;
	du,-*|fetch,-*) __gitcomp "--prefix --at --read-from= --json" ;;
	edit,-*) __gitcomp "--message --dry-run --json" ;;
	mv,-*|revert,-*) __gitcomp "--force --message --dry-run --json" ;;
	cp,-*) __gitcomp "--at --force --message --dry-run --json" ;;
	blame,-*) __gitcomp "--at --read-from= --json" ;;
	diff,-*) __gitcomp "--prefix --patch --json" ;;
	snapshot,-*) __gitcomp "--export --prefix --at --read-from= --allow-expired --json" ;;
	import,-*) __gitcomp "--batch --dry-run --message --json" ;;
	verify,-*) __gitcomp "--from --to --no-chunks --anchor --json" ;;
	status,-*) __gitcomp "--read-from= --json" ;;
	doctor,-*) __gitcomp "--offline --json" ;;
	policy,-*) __gitcomp "--as --file --json" ;;
	policy,*) __gitcomp "show check test" ;;
	wait,-*) __gitcomp "--oid --visible-on= --timeout --json" ;;
	get,*|set,*|del,*|edit,*|mv,*|cp,*|revert,*|history,*|log,*|blame,*|list,*) _git_kv_keys "$ns" "$operands" ;;
	cas,*) [ "$previous" = cas ] && __gitcomp "set" || _git_kv_keys "$ns" "$operands" ;;
	esac
}
